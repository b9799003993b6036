//! Replicas that share the releases: `--shards=auto`.

mod fleet;
mod moving;
mod news;
mod panels;
mod pushes;
