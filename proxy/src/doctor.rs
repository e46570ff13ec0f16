//! `vectorstore-proxy doctor`: what `vs_doctor()` finds in the database, and what only the proxy can see.

use std::error::Error;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use crate::config::DoctorArgs;
use crate::health::{DOWN, OK, Report};
use crate::state::AppState;

/// One thing that was checked.
#[derive(Deserialize, Serialize)]
struct Finding {
    check: String,
    status: String,
    detail: String,
    remedy: String,
}

/// Checks everything, prints a line for each check, and fails when one of them found an error.
pub async fn run(args: DoctorArgs) -> Result<ExitCode, Box<dyn Error + Send + Sync>> {
    let state = AppState::connect(args.server)?;
    let mut findings = of_proxy(&state).await;
    if !findings.iter().any(|finding| finding.check == "proxy: database" && finding.status == "error") {
        match state.db().doctor().await {
            Ok(rows) => findings.extend(serde_json::from_value::<Vec<Finding>>(rows)?),
            Err(error) => findings.push(Finding {
                check: "doctor".into(),
                status: "error".into(),
                detail: error.to_string(),
                remedy: "ALTER EXTENSION vectorstore UPDATE; the role of the proxy must be a member of vectorstore_app.".into(),
            }),
        }
    }
    state.db().close().await;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&findings)?);
    } else {
        findings.iter().for_each(print);
    }
    let failed = findings.iter().any(|finding| finding.status == "error");
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn of_proxy(state: &AppState) -> Vec<Finding> {
    let report = Report::of(state).await;
    let found = report.0.into_iter().map(|check| Finding {
        check: format!("proxy: {}", check.name),
        status: match check.status {
            OK => "ok",
            DOWN => "error",
            _ => "warning",
        }
        .into(),
        detail: check.detail,
        remedy: if check.status == OK { String::new() } else { check.remedy.into() },
    });
    found.collect()
}

fn print(finding: &Finding) {
    println!("{:<8} {:<18} {}", finding.status, finding.check, finding.detail);
    if !finding.remedy.is_empty() {
        println!("{:27} {}", "", finding.remedy);
    }
}
