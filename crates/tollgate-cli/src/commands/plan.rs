//! `tollgate plan`: plans of a running gateway.

use http::Method;
use serde_json::{Value, json};

use crate::admin_client::{self, segment};
use crate::args::{PlanArgs, PlanCommand};
use crate::failure::Failure;

pub(crate) fn run(args: PlanArgs) -> Result<(), Failure> {
    let data = &args.data.data;
    let (method, target, body) = match &args.command {
        PlanCommand::List => {
            let answer = admin_client::done(data, Method::GET, "/plans", None)?;
            list(&admin_client::json(&answer)?);
            return Ok(());
        }
        PlanCommand::Create { plan } => (Method::PUT, format!("/plans/{}", segment(plan)), None),
        PlanCommand::Delete { plan } => (Method::DELETE, format!("/plans/{}", segment(plan)), None),
        PlanCommand::Set {
            plan,
            limit,
            quotas,
        } => {
            let body = json!({ "quotas": quotas });
            (Method::PUT, quotas_of(plan, limit), Some(body))
        }
        PlanCommand::Unset { plan, limit } => (Method::DELETE, quotas_of(plan, limit), None),
    };
    let answer = admin_client::done(data, method, &target, body.as_ref())?;
    println!("{}", answer.trim_end());
    Ok(())
}

fn quotas_of(plan: &str, limit: &str) -> String {
    format!("/plans/{}/limits/{}", segment(plan), segment(limit))
}

fn list(answer: &Value) {
    for plan in answer["plans"].as_array().into_iter().flatten() {
        let name = plan["plan"].as_str().unwrap_or_default();
        println!("{name}  users: {}", plan["users"]);
        for (limit, quotas) in plan["limits"].as_object().into_iter().flatten() {
            println!("  {limit}  {}", quotas.as_str().unwrap_or_default());
        }
    }
}
