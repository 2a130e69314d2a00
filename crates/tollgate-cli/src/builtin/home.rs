//! The first page.

use bytes::Bytes;
use http::{Response, StatusCode};
use tollgate_gateway::builtin::BuiltinCall;
use tollgate_gateway::refusal::Refusal;

use super::pages::HomePage;
use super::{Builtins, answer};

impl Builtins {
    pub(super) fn home(&self, call: &BuiltinCall) -> Result<Response<Bytes>, Refusal> {
        answer::page(
            StatusCode::OK,
            &HomePage {
                site: self.site(call),
            },
        )
    }
}
