//! The page: what is wrong, all releases, and one release with its objects, in a browser.
//!
//! `row`, `listing`, `cure` and `delta` decide, purely. `index` follows the releases by one watch. `view` writes
//! HTML, in which every value is escaped. `entry` knows who may see it, and refuses what other sites and
//! names send, and `server` answers. The page is whole without scripts; `live` sends what changes to a page that
//! has them.

mod act;
mod answer;
mod cure;
mod delta;
mod entry;
mod index;
mod listing;
mod live;
mod look;
mod read;
mod requests;
mod row;
mod server;
mod site;
mod view;

pub use entry::hosts::host_name;
pub use server::{Page, PageError, PageOptions, loopback};
