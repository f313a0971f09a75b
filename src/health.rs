//! What the house says of itself: `/metrics` and `/healthz`.

use std::pin::Pin;
use std::sync::Arc;

use iris_web::{Family, Health};

use crate::metrics::Sources;

pub struct HouseHealth(pub Arc<Sources>);

impl Health for HouseHealth {
    fn metrics(&self) -> Pin<Box<dyn Future<Output = Vec<Family>> + Send>> {
        let sources = self.0.clone();
        Box::pin(async move { sources.read().await })
    }

    fn healthy(&self) -> Result<(), String> {
        if self.0.net.is_alive() { Ok(()) } else { Err("a worker thread has ended".into()) }
    }
}
