//! A rate-limit service that lets everything pass, as the documentation of tonic builds one: many threads, and nothing
//! decided. What a decision costs beside it is what gRPC does not. `grpc-ok ADDRESS` serves until it is ended.

use std::convert::Infallible;
use std::task::{Context, Poll};

use tollgate_bench::rls::{Answer, OK, Question, SERVICE};
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::Server;
use tonic_prost::ProstCodec;

#[derive(Clone)]
struct RateLimit;

impl NamedService for RateLimit {
    const NAME: &'static str = SERVICE;
}

/// What the code that is generated for a service comes down to, for one method.
impl Service<http::Request<Body>> for RateLimit {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut codec = Grpc::new(ProstCodec::<Answer, Question>::default());
            Ok(codec.unary(AlwaysOk, request).await)
        })
    }
}

struct AlwaysOk;

impl UnaryService<Question> for AlwaysOk {
    type Response = Answer;
    type Future = BoxFuture<tonic::Response<Answer>, tonic::Status>;

    fn call(&mut self, _: tonic::Request<Question>) -> Self::Future {
        Box::pin(async { Ok(tonic::Response::new(Answer { code: OK })) })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).ok_or("grpc-ok ADDRESS")?;
    Server::builder()
        .add_service(RateLimit)
        .serve(address.parse()?)
        .await?;
    Ok(())
}
