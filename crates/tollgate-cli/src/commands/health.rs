//! `tollgate health`: whether a running gateway is ready.

use http::{Method, StatusCode};

use crate::admin_client;
use crate::args::DataArgs;
use crate::failure::Failure;

pub(crate) fn run(data: &DataArgs) -> Result<(), Failure> {
    match admin_client::ask(&data.data, Method::GET, "/readyz")? {
        (StatusCode::OK, body) => {
            println!("{}", body.trim());
            Ok(())
        }
        (_, body) => Err(Failure::Failed(body.trim().to_owned())),
    }
}
