//! From connections to requests.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tower_service::Service;

use crate::malformed::{Explained, Progress};
use crate::patient::{Patient, STALL_MAX};
use crate::{App, Connection, Visitor, router};

/// The running server. Dropped: closed.
pub struct Http {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Connections at once, all addresses together; one more is closed.
const CONNECTIONS_MAX: usize = 20_000;

/// Threads that wait for a disk, or for the store behind it, when files are put and fetched. They come when they are needed and go.
const DISK_THREADS_MAX: usize = 16;

/// From the connection, or the last answer, to the whole head of a request.
const HEAD_TIME_MAX: Duration = Duration::from_secs(30);

/// The head of a request.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Serve whatever comes in.
///
/// # Errors
/// The system has no thread.
pub fn serve<C: Connection>(connections: mpsc::Receiver<C>, app: App) -> std::io::Result<Http> {
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new().name("http".into()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(DISK_THREADS_MAX).build();
        match runtime {
            Ok(runtime) => runtime.block_on(listen(connections, router::<C>(&app), stopped)),
            Err(error) => tracing::error!(%error, "HTTP cannot start"),
        }
    })?;
    Ok(Http { stop: Some(stop), thread: Some(thread) })
}

async fn listen<C: Connection>(mut connections: mpsc::Receiver<C>, router: Router, mut stopped: oneshot::Receiver<()>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let connection = tokio::select! {
            connection = connections.recv() => connection,
            // The house drops its handle: the runtime goes, and with it every connection.
            _ = &mut stopped => return,
        };
        let Some(connection) = connection else {
            let _ = stopped.await;
            return;
        };
        let Ok(place) = room.clone().try_acquire_owned() else { continue };
        let router = router.clone();
        tokio::spawn(async move {
            requests(connection, router).await;
            drop(place);
        });
    }
}

async fn requests<C: Connection>(connection: C, router: Router) {
    let visitor: Visitor = connection.visitor();
    let progress = Progress::default();
    let io = match connection.attach() {
        Ok(io) => TokioIo::new(Explained::new(Patient::new(io, STALL_MAX), progress.clone())),
        Err(error) => return tracing::debug!(%error, "a connection was lost"),
    };
    let service = service_fn(move |mut request: Request<hyper::body::Incoming>| {
        let asking = visitor.asking(request.headers());
        request.extensions_mut().insert(asking);
        let progress = progress.clone();
        progress.begin();
        let answer = router.clone().call(request);
        async move { answer.await.map(|answer| answer.map(|body| progress.until_end_of(body))) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(io, service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, peer = %visitor.peer, "an HTTP connection ended");
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
