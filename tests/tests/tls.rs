//! HTTPS as the program wants it: the roots that a `reqwest::ClientBuilder` trusts decide whom a data source talks to (S15).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may stop at the first surprise"
)]

use landfall::{DataSource, ErrorKind, Model, Record, Standing, storage::MemoryStorage, transport::HttpTransport};
use landfall_transport::dialect::rest::Rest;
use landfall_transport_http::reqwest::{Certificate, Client, ClientBuilder};
use std::sync::{Arc, Mutex};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

const ROOT: &[u8] = include_bytes!("../data/tls/root.pem");
const CHAIN: &[u8] = include_bytes!("../data/tls/server.pem");
const KEY: &[u8] = include_bytes!("../data/tls/server.key");

type Seen = Arc<Mutex<Vec<String>>>;

/// A service for `localhost` and `127.0.0.1` whose certificate the test's own root has signed; its port, and what it was told.
async fn service() -> (u16, Seen) {
    let chain = CertificateDer::pem_slice_iter(CHAIN).map(Result::unwrap).collect();
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(chain, PrivateKeyDer::from_pem_slice(KEY).unwrap()).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Seen::default();
    let log = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // Whoever does not trust the certificate goes away in the middle of the handshake.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = vec![0; 8 * 1024];
            let read = stream.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..read]).into_owned();
            let body = if request.starts_with("GET") { r#"[{"id":1,"name":"a"}]"# } else { r#"{"id":2,"name":"n"}"# };
            log.lock().unwrap().push(request.lines().next().unwrap().to_owned());
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length";
            stream.write_all(format!("{head}: {}\r\n\r\n{body}", body.len()).as_bytes()).await.unwrap();
            drop(stream.shutdown().await);
        }
    });
    (port, seen)
}

fn source(host: &str, port: u16, client: Option<ClientBuilder>) -> DataSource {
    let mut http =
        HttpTransport::builder().base_url(format!("https://{host}:{port}/")).bearer("secret").https_only(true);
    if let Some(client) = client {
        http = http.client(client);
    }
    let transport = http.build(Rest::new("products")).unwrap();
    let builder = DataSource::builder().transport(transport).model(Model::new().id("id"));
    builder.storage(MemoryStorage::new(), "products").build().unwrap()
}

fn trusting() -> ClientBuilder {
    Client::builder().no_proxy().tls_certs_only([Certificate::from_pem(ROOT).unwrap()])
}

#[tokio::test]
async fn s15_a_root_that_the_client_trusts_is_enough() {
    let (port, seen) = service().await;
    for host in ["127.0.0.1", "localhost"] {
        let products = source(host, port, Some(trusting()));
        products.read().await.unwrap();
        products.add(Record::from([("name", "n")])).unwrap();
        assert!(products.sync().await.unwrap().is_success());
    }
    let expected = ["GET /products HTTP/1.1", "POST /products HTTP/1.1"];
    assert_eq!(*seen.lock().unwrap(), [expected, expected].concat());
}

#[tokio::test]
async fn s15_a_certificate_that_nobody_vouches_for_sees_no_request() {
    let (port, seen) = service().await;
    // Without a client of the program's, with the platform's roots; and with the right root, but for another name.
    for (host, client) in [("127.0.0.1", None), ("127.0.0.2", Some(trusting()))] {
        let products = source(host, port, client);
        let error = products.read().await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Transport, "{error:?}");
        products.add(Record::from([("name", "n")])).unwrap();
        products.sync().await.unwrap();
        // Nothing was sent, so nothing is in doubt.
        assert_eq!(products.pending()[0].standing, Standing::Queued, "{:?}", products.pending()[0]);
    }
    assert!(seen.lock().unwrap().is_empty(), "not even the head of a request, which has the token");
}
