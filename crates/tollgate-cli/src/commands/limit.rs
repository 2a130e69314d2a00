//! `tollgate limit`: counters of a running gateway.

use http::{Method, StatusCode};

use crate::admin_client;
use crate::args::{LimitArgs, LimitCommand};
use crate::failure::Failure;

pub(crate) fn run(args: LimitArgs) -> Result<(), Failure> {
    let (method, limit, key) = match &args.command {
        LimitCommand::Show { limit, key } => (Method::GET, limit, key),
        LimitCommand::Reset { limit, key, .. } => (Method::DELETE, limit, key),
    };
    let all = matches!(args.command, LimitCommand::Reset { all: true, .. });
    let mut query: Vec<(&str, &str)> = key.iter().map(|word| ("key", word.as_str())).collect();
    if all {
        query.push(("all", "true"));
    }
    let limit = serde_urlencoded::to_string([("", limit)]).unwrap_or_default();
    let query = serde_urlencoded::to_string(query).unwrap_or_default();
    let target = format!("/limits/{}?{query}", limit.trim_start_matches('='));
    match admin_client::ask(&args.data.data, method, &target)? {
        (StatusCode::OK, body) => {
            println!("{}", body.trim_end());
            Ok(())
        }
        (StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST, body) => {
            Err(Failure::Usage(body.trim_end().to_owned()))
        }
        (_, body) => Err(Failure::Failed(body.trim_end().to_owned())),
    }
}
