//! The kit. The mock speaks values, not bytes: web pages and broken JSON are what only a transport with bytes can get.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may stop at the first surprise")]

use landfall_transport::{
    Operation, Transport,
    conformance::{Behaviour, Stage},
};
use landfall_transport_mock::{Fault, MockServer};
use std::{sync::Arc, time::Duration};

struct Mock {
    server: MockServer,
    read_only: MockServer,
}

fn stage() -> Mock {
    Mock { server: MockServer::builder().build(), read_only: MockServer::builder().offers([Operation::Read]).build() }
}

impl Stage for Mock {
    fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(self.server.clone())
    }

    fn read_only_transport(&self) -> Option<Arc<dyn Transport>> {
        Some(Arc::new(self.read_only.clone()))
    }

    fn arm(&self, behaviour: Behaviour) -> bool {
        let fault = match behaviour {
            Behaviour::Answer(200..=299, _, Some(body)) => Fault::any().reply(body),
            Behaviour::Answer(200..=299, _, None) => Fault::any().empty(),
            Behaviour::Answer(status, headers, said) => {
                let mut fault = Fault::any().fail(status);
                if let Some(said) = said {
                    fault = fault.saying(said);
                }
                match headers.iter().find(|(name, _)| name == "Retry-After") {
                    Some((_, seconds)) => fault.retry_after(Duration::from_secs(seconds.parse().unwrap())),
                    None => fault,
                }
            }
            Behaviour::CutBeforeAnswer | Behaviour::CutInBody => Fault::any().lost(),
            Behaviour::Silence => Fault::any().timed_out(),
            Behaviour::Gone => {
                self.server.set_no_network(true);
                return true;
            }
            Behaviour::Held(body) => {
                self.server.set_holding(true);
                Fault::any().reply(body)
            }
            _ => return false,
        };
        self.server.add_fault(fault);
        true
    }

    fn seen(&self) -> usize {
        self.server.requests().len() + self.read_only.requests().len()
    }

    fn release(&self) {
        self.server.set_holding(false);
        self.server.release_all();
    }
}

landfall_transport::transport_conformance!(stage);
