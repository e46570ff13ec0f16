//! Lists of similar vectors: k-means on a sample, and the nearest list of any vector.

use super::kernel::Kernel;
use super::query::unit_scale;
use super::rotation::split_mix;

/// Stores of fewer rows stay in one list: a whole scan of their codes is as fast as a choice of lists.
pub const FLAT_ROWS: usize = 32_768;

/// Rows of the sample for each list, and at most.
const SAMPLE_PER_LIST: usize = 64;
const SAMPLE_ROWS: usize = 65_536;
/// Most bytes of a sample; fewer rows a list hurt less than memory that a busy server lacks.
const SAMPLE_BYTES: usize = 128 << 20;

/// Rounds of k-means; more do not move the recall.
const ROUNDS: usize = 8;

/// A list that holds this many times its share of the sample gives half of it to the emptiest list.
const GIANT: u32 = 6;

/// Rows of one register tile, lists of one panel, rows of one block (which stays in the second-level cache).
const TILE: usize = 6;
const LANES: usize = 16;
const BLOCK: usize = 16 * TILE;

/// The centroids of a segment's lists.
///
/// Rows are compared at length one, so that the nearest centroid by Euclidean distance is meant. A centroid is the
/// mean of its rows and therefore shorter than one.
#[derive(Debug, Clone)]
pub struct Plan {
    dims: usize,
    /// List by list.
    centroids: Vec<f32>,
    /// The same, 16 lists side by side: `panels[(panel * dims + dim) * 16 + lane]`.
    panels: Vec<f32>,
    /// Minus half the squared length of each centroid; minus infinity for the lanes after the last list.
    biases: Vec<f32>,
    kernel: Kernel,
}

impl Plan {
    /// How many of `rows` rows [`Plan::train`] makes use of.
    pub fn sample_rows(dims: usize, rows: usize) -> usize {
        let most = (SAMPLE_BYTES / (4 * dims.max(1))).clamp(1, SAMPLE_ROWS);
        (Self::lists_for(rows) * SAMPLE_PER_LIST).max(1024).min(rows).min(most)
    }

    fn lists_for(rows: usize) -> usize {
        if rows < FLAT_ROWS { 1 } else { (rows as f64).sqrt().round() as usize }
    }

    /// Chooses the centroids for `rows` rows of `dims` dimensions from a sample of them, `sample.len() / dims` rows
    /// one after the other, best in random order or at equal distances. One list below [`FLAT_ROWS`], else about the
    /// square root of the rows, never more than the sample has rows. The same input gives the same centroids.
    pub fn train(dims: usize, rows: usize, sample: &[f32]) -> Self {
        let given = sample.len() / dims.max(1);
        let sample = &sample[..given.min(SAMPLE_ROWS) * dims];
        let lists = Self::lists_for(rows).min(given).max(1);
        let mut plan = Self::of(dims, vec![0.0; lists * dims]);
        if given == 0 {
            return plan;
        }
        let count = sample.len() / dims;
        let mut state = 1;
        let mut order: Vec<usize> = (0..count).collect();
        for list in 0..lists {
            let other = list + (split_mix(&mut state) % (count - list) as u64) as usize;
            order.swap(list, other);
            plan.place(list, &sample[order[list] * dims..][..dims]);
        }
        plan.refresh();
        let mut nearest = vec![0; count];
        for round in 0..if lists == 1 { 1 } else { ROUNDS } {
            let before = std::mem::replace(&mut nearest, plan.assign_many(sample));
            let moved = before.iter().zip(&nearest).filter(|(before, after)| before != after).count();
            if round > 0 && moved * 200 < count {
                break;
            }
            let mut counts = plan.average(sample, &nearest);
            // Not before the last round: a new centroid wants a round to settle.
            if round + 2 < ROUNDS {
                plan.reseed(sample, &nearest, &mut counts, &mut state);
            }
            plan.refresh();
        }
        plan
    }

    /// Number of lists, at least one.
    pub fn lists(&self) -> u32 {
        (self.centroids.len() / self.dims.max(1)) as u32
    }

    /// Number of dimensions.
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// List by list, `dims` numbers each.
    pub(super) fn centroids(&self) -> &[f32] {
        &self.centroids
    }

    /// The list nearest to a vector. For many vectors, [`Plan::assign_many`] is several times as fast.
    pub fn assign(&self, vector: &[f32]) -> u32 {
        self.assign_many(vector)[0]
    }

    /// The list nearest to each of `vectors.len() / dims` vectors that lie one after the other. Hand over some hundred or
    /// more at once: the centroids pass through the cache once for each 96 of them.
    pub fn assign_many(&self, vectors: &[f32]) -> Vec<u32> {
        let rows = vectors.len() / self.dims.max(1);
        if self.lists() == 1 {
            return vec![0; rows];
        }
        let mut nearest = Vec::with_capacity(rows);
        let mut packed = vec![[0f32; TILE]; BLOCK / TILE * self.dims];
        for block in vectors[..rows * self.dims].chunks(BLOCK * self.dims) {
            for (row, vector) in block.chunks_exact(self.dims).enumerate() {
                let scale = unit_scale(vector);
                let tile = &mut packed[row / TILE * self.dims..][..self.dims];
                for (place, value) in tile.iter_mut().zip(vector) {
                    place[row % TILE] = if scale > 0.0 { value * scale } else { 0.0 };
                }
            }
            let rows = block.len() / self.dims;
            let packed = &packed[..rows.div_ceil(TILE) * self.dims];
            let mut best = [Best::NONE; BLOCK];
            match self.kernel {
                Kernel::Portable => self.nearest::<false>(packed, &mut best),
                #[cfg(target_arch = "x86_64")]
                // SAFETY: `Avx2` exists only where its features were detected.
                Kernel::Avx2 => unsafe { self.nearest_avx2(packed, &mut best) },
            }
            nearest.extend(best[..rows].iter().map(Best::list));
        }
        nearest
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn nearest_avx2(&self, packed: &[[f32; TILE]], best: &mut [Best; BLOCK]) {
        self.nearest::<true>(packed, best);
    }

    /// Compares a block of rows, packed into tiles, with all centroids.
    #[inline(always)]
    fn nearest<const FUSED: bool>(&self, packed: &[[f32; TILE]], best: &mut [Best; BLOCK]) {
        let panels = self.panels.as_chunks::<LANES>().0.chunks_exact(self.dims);
        for (index, (panel, biases)) in panels.zip(self.biases.as_chunks::<LANES>().0).enumerate() {
            for (tile, best) in packed.chunks_exact(self.dims).zip(best.as_chunks_mut::<TILE>().0) {
                let mut sums = [*biases; TILE];
                for (values, lanes) in tile.iter().zip(panel) {
                    for row in 0..TILE {
                        for lane in 0..LANES {
                            sums[row][lane] = if FUSED {
                                values[row].mul_add(lanes[lane], sums[row][lane])
                            } else {
                                values[row] * lanes[lane] + sums[row][lane]
                            };
                        }
                    }
                }
                for (best, sums) in best.iter_mut().zip(&sums) {
                    let lanes = best.score.iter_mut().zip(&mut best.panel).zip(sums);
                    for ((score, panel), &sum) in lanes {
                        let better = sum > *score;
                        *score = if better { sum } else { *score };
                        *panel = if better { index as u32 } else { *panel };
                    }
                }
            }
        }
    }

    fn of(dims: usize, centroids: Vec<f32>) -> Self {
        let padded = (centroids.len() / dims.max(1)).next_multiple_of(LANES);
        let (panels, biases) = (vec![0.0; padded * dims], vec![f32::NEG_INFINITY; padded]);
        Self { dims, centroids, panels, biases, kernel: Kernel::detect() }
    }

    /// Makes a row, at length one, the centroid of a list.
    fn place(&mut self, list: usize, vector: &[f32]) {
        let scale = unit_scale(vector);
        for (place, value) in self.centroids[list * self.dims..].iter_mut().zip(vector) {
            *place = if scale > 0.0 { value * scale } else { 0.0 };
        }
    }

    /// Brings panels and biases up to date with the centroids.
    fn refresh(&mut self) {
        for (list, centroid) in self.centroids.chunks_exact(self.dims.max(1)).enumerate() {
            self.biases[list] = -0.5 * self.kernel.dot(centroid, centroid);
            let panel = &mut self.panels[list / LANES * LANES * self.dims..];
            for (lanes, value) in panel.as_chunks_mut::<LANES>().0.iter_mut().zip(centroid) {
                lanes[list % LANES] = *value;
            }
        }
    }

    /// Moves every centroid to the mean of its rows, keeps those of empty lists, and returns the rows of each list.
    fn average(&mut self, sample: &[f32], nearest: &[u32]) -> Vec<u32> {
        let mut counts = vec![0u32; self.lists() as usize];
        let mut sums = vec![0f32; self.centroids.len()];
        for (vector, &list) in sample.chunks_exact(self.dims).zip(nearest) {
            let scale = unit_scale(vector);
            if scale > 0.0 {
                let sum = &mut sums[list as usize * self.dims..][..self.dims];
                sum.iter_mut().zip(vector).for_each(|(sum, value)| *sum += value * scale);
            }
            counts[list as usize] += 1;
        }
        let lists = self.centroids.chunks_exact_mut(self.dims).zip(sums.chunks_exact(self.dims));
        for ((centroid, sum), &count) in lists.zip(&counts).filter(|(_, count)| **count > 0) {
            centroid.iter_mut().zip(sum).for_each(|(place, sum)| *place = sum / count as f32);
        }
        counts
    }

    /// Gives empty lists, and the emptiest ones while there are giants, to a random row of the fullest list.
    fn reseed(&mut self, sample: &[f32], nearest: &[u32], counts: &mut [u32], state: &mut u64) {
        let share = (nearest.len() / counts.len()) as u32;
        let mut emptiest: Vec<usize> = (0..counts.len()).collect();
        emptiest.sort_by_key(|&list| counts[list]);
        let mut members: Vec<Vec<u32>> = vec![Vec::new(); counts.len()];
        for (row, &list) in nearest.iter().enumerate() {
            members[list as usize].push(row as u32);
        }
        for list in emptiest {
            let fullest = (0..counts.len()).max_by_key(|&list| counts[list]).unwrap_or(list);
            let giant = counts[fullest] > GIANT * share && counts[list] < share;
            if fullest == list || members[fullest].is_empty() || !(counts[list] == 0 || giant) {
                break;
            }
            let row = members[fullest][(split_mix(state) % members[fullest].len() as u64) as usize] as usize;
            self.place(list, &sample[row * self.dims..][..self.dims]);
            counts[list] += counts[fullest] / 2;
            counts[fullest] -= counts[fullest] / 2;
        }
    }
}

/// The best list so far in each lane of the panels, for one row.
#[derive(Clone, Copy)]
struct Best {
    score: [f32; LANES],
    panel: [u32; LANES],
}

impl Best {
    const NONE: Self = Self { score: [f32::NEG_INFINITY; LANES], panel: [0; LANES] };

    /// The best of all lanes; of equals the lowest list.
    fn list(&self) -> u32 {
        let (mut score, mut list) = (f32::NEG_INFINITY, u32::MAX);
        for lane in 0..LANES {
            let this = self.panel[lane] * LANES as u32 + lane as u32;
            if self.score[lane] > score || (self.score[lane] == score && this < list) {
                (score, list) = (self.score[lane], this);
            }
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(rows: usize, dims: usize, state: &mut u64) -> Vec<f32> {
        (0..rows * dims).map(|_| (split_mix(state) >> 40) as f32 / 8e6 - 1.0).collect()
    }

    #[test]
    fn assigns_to_the_nearest() {
        for (dims, lists) in [(1, 3), (5, 16), (33, 50), (384, 17)] {
            let mut state = dims as u64;
            let mut plan = Plan::of(dims, random(lists, dims, &mut state));
            plan.refresh();
            let mut rows = random(203, dims, &mut state);
            rows[..dims].fill(0.0);
            let fast = plan.assign_many(&rows);
            plan.kernel = Kernel::Portable;
            let slow = plan.assign_many(&rows);
            for (index, row) in rows.chunks_exact(dims).enumerate() {
                let scale = f64::from(unit_scale(row));
                let distance = |list: u32| -> f64 {
                    let centroid = &plan.centroids[list as usize * dims..][..dims];
                    row.iter()
                        .zip(centroid)
                        .map(|(x, c)| (f64::from(*x) * scale - f64::from(*c)).powi(2))
                        .sum()
                };
                let least = (0..lists as u32).map(distance).fold(f64::INFINITY, f64::min);
                assert!(distance(fast[index]) < least + 1e-5);
                assert!(distance(slow[index]) < least + 1e-5);
                assert_eq!(plan.assign(row), slow[index]);
            }
        }
    }

    #[test]
    fn sample_is_bounded() {
        assert_eq!(Plan::sample_rows(384, 100), 100);
        assert_eq!(Plan::sample_rows(384, 30_000), 1024);
        assert_eq!(Plan::sample_rows(384, 100_000), 316 * 64);
        assert_eq!(Plan::sample_rows(384, 100_000_000), 65_536);
        assert_eq!(Plan::sample_rows(16_000, 100_000_000), 2097);
    }

    #[test]
    fn odd_samples_give_sound_lists() {
        let none = Plan::train(3, 100_000, &[]);
        assert_eq!((none.lists(), none.assign(&[1.0, 2.0, 3.0])), (1, 0));
        let same = Plan::train(2, 40_000, &[0.5; 2000]);
        assert_eq!(same.lists(), 200);
        let zero = Plan::train(2, 40_000, &[0.0; 2000]);
        let wild =
            Plan::train(2, 40_000, &[f32::NAN, 1.0, f32::INFINITY, 0.0, f32::MAX, f32::MAX, 1e-40, 0.0]);
        for plan in [same, zero, wild] {
            assert!(plan.centroids.iter().all(|value| value.is_finite()));
            assert!(plan.assign(&[f32::NAN, 1.0]) < plan.lists());
            assert!(plan.assign(&[1.0, 1.0]) < plan.lists());
        }
    }

    #[test]
    fn the_same_sample_gives_the_same_centroids() {
        let sample = random(4000, 20, &mut 3);
        let plan = Plan::train(20, 40_000, &sample);
        assert_eq!(plan.centroids, Plan::train(20, 40_000, &sample).centroids);
        let mut counts = vec![0; plan.lists() as usize];
        plan.assign_many(&sample).into_iter().for_each(|list| counts[list as usize] += 1);
        assert!(counts.iter().all(|&count| count < 20 * GIANT), "{counts:?}");
    }
}
