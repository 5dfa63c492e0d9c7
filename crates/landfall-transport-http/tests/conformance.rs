//! The kit over real HTTP on loopback, with each of the dialects that write by verb.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may stop at the first surprise")]

use landfall_transport::{
    Dialect, Operation, Transport,
    conformance::LoopbackStage,
    dialect::{
        kendo::{Kendo, ParameterMap, Settings},
        rest::Rest,
    },
};
use landfall_transport_http::HttpTransport;
use std::{sync::Arc, time::Duration};

fn stage(dialect: fn() -> Box<dyn Dialect>) -> LoopbackStage {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let make = |url: &str, dialect: Box<dyn Dialect>| -> Arc<dyn Transport> {
        let builder = HttpTransport::builder().base_url(url).timeout(Duration::from_millis(300));
        Arc::new(builder.build(dialect).unwrap())
    };
    LoopbackStage::new(move |url| make(url, dialect()))
        .read_only(move |url| make(url, Box::new(Kendo::new().read(Settings::url("products").json()))))
        .inside(move |future| runtime.block_on(future))
}

mod kendo {
    use super::*;

    fn dialect() -> Box<dyn Dialect> {
        let write = |method| Settings::url("products").method(method).content_type("application/json").json();
        Box::new(
            Kendo::new()
                .read(Settings::url("products").json())
                .create(write("POST"))
                .update(write("PUT"))
                .destroy(write("DELETE"))
                .parameter_map(ParameterMap::json_body_write()),
        )
    }

    landfall_transport::transport_conformance!(|| stage(dialect));
}

mod rest {
    use super::*;

    landfall_transport::transport_conformance!(|| stage(|| Box::new(Rest::json_server("products"))));
}

#[test]
fn a_plain_rest_service_has_no_submit() {
    assert!(!Rest::new("x").offers(Operation::Submit));
}
