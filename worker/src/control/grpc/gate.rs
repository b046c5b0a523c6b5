//! Checks the token before a command is read.

use tonic::{Request, Status, service::Interceptor};

use crate::control::access::{Access, Refusal};

#[derive(Debug, Clone)]
pub(super) struct Gate(pub(super) Access);

impl Interceptor for Gate {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let authorization = request.metadata().get("authorization").map(|value| value.as_encoded_bytes());
        match self.0.allows(authorization) {
            Ok(()) => Ok(request),
            Err(Refusal::Unknown(why)) => Err(Status::unauthenticated(why)),
            Err(Refusal::Closed(why)) => Err(Status::permission_denied(why)),
        }
    }
}
