//! What lies between the workers, who accept connections, and `iris-web`, who reads requests.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use iris_net::{HttpConnection, HttpStream, Net, WebSocketRequest};
use iris_web::{BoshAnswer, BoshRequest, Connection, Streams, Visitor};
use tokio::sync::mpsc;

/// Connections that wait to be read from; beyond it they are closed.
const WAITING_MAX: usize = 1_024;

/// The door that workers put connections through, and where they come out.
pub fn door() -> (iris_net::Http, mpsc::Receiver<Incoming>) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let put = move |connection| {
        if sender.try_send(Incoming(connection)).is_err() {
            tracing::warn!("an HTTP connection is closed: too many wait");
        }
    };
    (Arc::new(put), receiver)
}

pub struct Incoming(HttpConnection);

impl Connection for Incoming {
    type Io = HttpStream;

    fn visitor(&self) -> Visitor {
        Visitor {
            peer: self.0.peer(),
            secure: self.0.is_secure(),
            private: self.0.is_private(),
            inside: self.0.is_inside(),
            unlimited: self.0.is_unlimited(),
            proxy: self.0.is_proxy(),
        }
    }

    fn attach(self) -> io::Result<HttpStream> {
        self.0.attach()
    }

    fn websocket(io: HttpStream, read: &[u8], visitor: Visitor, origin: Option<&str>, host: Option<&str>) {
        let Visitor { peer, unlimited, .. } = visitor;
        io.into_websocket(read, &WebSocketRequest { peer, unlimited, origin, host });
    }
}

/// XMPP for those who come by HTTP.
pub struct HouseStreams(pub Arc<Net>);

impl Streams for HouseStreams {
    fn page_may_speak(&self, origin: &str, host: Option<&str>, peer: IpAddr) -> bool {
        self.0.page_may_speak(origin, host, peer)
    }

    fn bosh(&self, request: BoshRequest) -> Pin<Box<dyn Future<Output = BoshAnswer> + Send>> {
        let BoshRequest { body, visitor, origin, host } = request;
        let Visitor { peer, secure, unlimited, .. } = visitor;
        let answer = self.0.bosh(iris_net::BoshRequest { body, peer, secure, unlimited, origin, host });
        Box::pin(async move {
            let iris_net::BoshAnswer { status, content_type, body } = answer.await;
            BoshAnswer { status, content_type, body }
        })
    }

    fn bosh_body_bytes_max(&self) -> usize {
        self.0.bosh_body_bytes_max()
    }
}
