//! What `object_store` asks goes through the house's one HTTP client.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use iris_fetch::{Answer, Client, Failed};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody,
    HttpService,
};

#[derive(Clone, Debug)]
pub(super) struct Door(pub Arc<Client<HttpRequestBody>>);

impl HttpConnector for Door {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

impl HttpService for Door {
    fn call<'a, 'b>(
        &'a self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let response = self.0.call(request).await.map_err(error)?;
            Ok(response.map(|body| HttpResponseBody::new(Heard(body))))
        })
    }
}

fn error(failed: Failed) -> HttpError {
    let kind = match failed {
        Failed::Forbidden | Failed::Connect(_) => HttpErrorKind::Connect,
        Failed::Late => HttpErrorKind::Timeout,
        Failed::Broken(_) => HttpErrorKind::Interrupted,
    };
    HttpError::new(kind, failed)
}

/// An answer whose failures are `object_store`'s.
struct Heard(Answer);

impl Body for Heard {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        Pin::new(&mut self.0).poll_frame(cx).map_err(error)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
