//! Flags of the decision service.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::address::address;

/// Where the decision service listens, instead of what the rules say. With one of these and nothing else, `serve` is the
/// service alone.
#[derive(clap::Args)]
pub(crate) struct ServiceArgs {
    /// Decide over Redis's protocol on this address: CL.THROTTLE, and TOLLGATE.CHECK on limits of the rules.
    #[arg(long, env = "TOLLGATE_RESP", value_name = "ADDRESS", value_parser = address)]
    pub(crate) resp: Option<SocketAddr>,
    /// Decide over plain HTTP with JSON on this address: POST /v1/check, described at /v1/openapi.json.
    #[arg(long, env = "TOLLGATE_HTTP", value_name = "ADDRESS", value_parser = address)]
    pub(crate) http: Option<SocketAddr>,
    /// Decide over gRPC on this address, as Envoy asks its rate-limit service.
    #[arg(long, env = "TOLLGATE_GRPC", value_name = "ADDRESS", value_parser = address)]
    pub(crate) grpc: Option<SocketAddr>,
    /// A domain of the service over gRPC, in a file of Envoy's own rate-limit service. It is read again when it changes. May
    /// be given several times, each with another domain.
    #[arg(
        long,
        env = "TOLLGATE_ENVOY_CONFIG",
        value_name = "FILE",
        value_delimiter = ','
    )]
    pub(crate) envoy_config: Vec<PathBuf>,
    /// What clients of the service must show, beside the tokens of the rules. Other users of this machine can read flags,
    /// but not the environment.
    #[arg(
        long,
        env = "TOLLGATE_SERVICE_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    pub(crate) service_token: Option<String>,
}
