//! The kit over real HTTP on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may stop at the first surprise")]

use landfall_transport::{Transport, conformance::LoopbackStage};
use landfall_transport_http::HttpChannel;
use landfall_transport_jsonp::{JsonpConfig, JsonpTransport};
use std::{sync::Arc, time::Duration};

fn over(url: &str, config: JsonpConfig) -> Arc<dyn Transport> {
    let channel = HttpChannel::builder().base_url(url).timeout(Duration::from_millis(300)).build_channel().unwrap();
    Arc::new(JsonpTransport::over(channel, config).unwrap())
}

fn stage() -> LoopbackStage {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let all = || JsonpConfig::new().read("p").create("p/create").update("p/update").destroy("p/destroy");
    LoopbackStage::new(move |url| over(url, all()))
        .read_only(|url| over(url, JsonpConfig::new().read("p")))
        .wrapped()
        .inside(move |future| runtime.block_on(future))
}

landfall_transport::transport_conformance!(stage);
