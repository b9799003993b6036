//! What takes minutes to build the first time, while no other test has a deadline.

use supercargo_testbed::image::Image;
use supercargo_testbed::kits::{
    BED, CHARTS, FLUX, FLUX_OVERLAYS, HELM, MONITORING, OVERLAYS, PROMETHEUS, SIGSTORE,
};
use supercargo_testbed::tools::{Environment, Tools};
use supercargo_testbed::{Profiles, browser, story};

const PROFILES: Profiles = Profiles::First("what is built once is there");

/// `make test` runs it by itself before all others.
#[story]
fn what_the_tests_run_is_built() {
    for kit in [&BED, &HELM, &FLUX, &SIGSTORE, &PROMETHEUS, &MONITORING, &OVERLAYS, &FLUX_OVERLAYS, &CHARTS] {
        if let Err(error) = Tools::find(kit, &Environment::current()) {
            panic!("{error}");
        }
    }
    browser::axe();
    assert!(Image::assemble().archive().is_file());
}
