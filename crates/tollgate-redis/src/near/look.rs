//! What a node makes of a request before it asks the store.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tollgate::Decision;

/// What a node makes of a request.
pub(crate) enum Look {
    /// It knows the answer.
    Answer(Decision),
    /// Another request asks the store; when it has heard, this is closed, and a look tells more.
    Wait(Arc<Semaphore>),
    /// The store must be asked. Others may wait for what is heard, until the probe is dropped.
    Ask(Option<Probe>),
}

/// Who asks for others too. However that ends, they need not wait any more.
pub(crate) struct Probe(pub(super) Arc<Semaphore>);

impl Drop for Probe {
    fn drop(&mut self) {
        self.0.close();
    }
}
