//! What a receiver really said, apart from what the gRPC library makes up when a connection breaks.
//!
//! A status that the library returns does not tell where it is from: of a connection that was reset it makes `UNKNOWN`, of
//! a stream that was `INTERNAL`, both of which would be final if the receiver had said them. So the answers are looked at
//! as they pass.

use crate::export::http::retry_after;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::header::HeaderMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, StdError, http};
use tonic::{Code, Status};

/// The answer to one request, as far as there was one.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The status of HTTP.
    pub http: Option<StatusCode>,
    /// How long the headers ask to wait.
    pub retry_after: Option<Duration>,
    /// The status of gRPC.
    pub grpc: Option<Code>,
}

impl Answer {
    fn hear(&mut self, headers: &mut HeaderMap) {
        if let Some(status) = headers.get(Status::GRPC_STATUS) {
            self.grpc = Some(Code::from_bytes(status.as_bytes()));
        }
        // The library panics on details that are not in base64.
        if headers.get(Status::GRPC_STATUS_DETAILS).is_some_and(|details| BASE64.decode(details).is_err()) {
            headers.remove(Status::GRPC_STATUS_DETAILS);
        }
    }
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A channel for one request after the other, whose answers are heard.
#[derive(Clone, Debug)]
pub struct Heard<S> {
    channel: S,
    answer: Arc<Mutex<Answer>>,
}

impl<S> Heard<S> {
    /// Listens to this channel.
    pub fn new(channel: S) -> Self {
        Heard { channel, answer: Arc::default() }
    }

    /// Where the answer is noted. Whoever sends a request takes away what is there before: not every failure gets as far as
    /// the channel.
    pub fn answer(&self) -> Arc<Mutex<Answer>> {
        Arc::clone(&self.answer)
    }
}

/// The answer; it stays whole whoever panics with it.
pub fn lock(answer: &Mutex<Answer>) -> MutexGuard<'_, Answer> {
    answer.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S> Service<http::Request<Body>> for Heard<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
    S::Error: Into<StdError>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.channel.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let answer = Arc::clone(&self.answer);
        let responding = self.channel.call(request);
        Box::pin(async move {
            let mut response = responding.await?;
            {
                let mut answer = lock(&answer);
                answer.http = Some(response.status());
                answer.retry_after = retry_after(response.headers());
                answer.hear(response.headers_mut());
            }
            Ok(response.map(|body| {
                Body::new(body.map_frame(move |mut frame| {
                    if let Some(trailers) = frame.trailers_mut() {
                        lock(&answer).hear(trailers);
                    }
                    frame
                }))
            }))
        })
    }
}
