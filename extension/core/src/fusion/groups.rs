//! Few hits of each group.

use std::collections::HashMap;
use std::hash::Hash;

/// The first `k` hits of a ranked list when at most `group_size` of each group are taken, in the list's order:
/// k hits in all, not k groups. A hit for which `group_of` gives nothing is a group of its own. Fewer than k when
/// the list ends before; none when k or `group_size` is 0. One pass; memory for as many groups as hits are taken.
pub fn group_limit<T, G: Hash + Eq>(
    ranked: &[T],
    mut group_of: impl FnMut(&T) -> Option<G>,
    k: usize,
    group_size: usize,
) -> Vec<&T> {
    let mut taken = HashMap::new();
    let mut room = |hit: &T| match group_of(hit) {
        None => group_size > 0,
        Some(group) => {
            let count: &mut usize = taken.entry(group).or_default();
            *count += 1;
            *count <= group_size
        }
    };
    ranked.iter().filter(|hit| room(hit)).take(k).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn groups_are_capped_in_the_order_of_the_list() {
        let ranked = [(1, Some("a")), (2, Some("a")), (3, None), (4, Some("a")), (5, None), (6, Some("b"))];
        let ids = |k, size| -> Vec<i32> {
            group_limit(&ranked, |hit| hit.1, k, size).iter().map(|hit| hit.0).collect()
        };
        assert_eq!(ids(10, 1), [1, 3, 5, 6]);
        assert_eq!(ids(10, 2), [1, 2, 3, 5, 6]);
        assert_eq!(ids(3, 1), [1, 3, 5]);
        assert_eq!(ids(10, 9), [1, 2, 3, 4, 5, 6]);
        assert!(ids(0, 1).is_empty() && ids(4, 0).is_empty());
    }

    proptest! {
        #[test]
        fn nothing_that_fits_is_left_out(
            groups in proptest::collection::vec(proptest::option::of(0u8..4), 0..40), k in 0usize..20, size in 0usize..5
        ) {
            let ranked: Vec<(usize, Option<u8>)> = groups.into_iter().enumerate().collect();
            let got = group_limit(&ranked, |hit| hit.1, k, size);
            let mut expected: Vec<&(usize, Option<u8>)> = Vec::new();
            for hit in &ranked {
                let same = expected.iter().filter(|other| hit.1.is_some() && other.1 == hit.1).count();
                if same < size && expected.len() < k {
                    expected.push(hit);
                }
            }
            prop_assert_eq!(got, expected);
        }
    }
}
