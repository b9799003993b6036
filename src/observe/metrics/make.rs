//! Makes metrics from their entries in the catalog.

use std::collections::HashMap;
use std::marker::PhantomData;

use prometheus::core::{Collector, Desc, Metric, MetricVec, MetricVecBuilder};
use prometheus::proto::{self, Gauge, LabelPair, MetricFamily, MetricType};
use prometheus::{
    Error, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

use super::super::labels::Label;
use super::catalog::{MetricEntry, MetricKind};

/// Makes metrics and registers them.
pub(super) struct Maker {
    pub registry: Registry,
}

impl Maker {
    fn register<C: Collector + Clone + 'static>(&self, collector: C) -> Result<C, Error> {
        self.registry.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    /// Counters whose series appear when they are first used.
    pub fn counters(&self, entry: &MetricEntry) -> Result<IntCounterVec, Error> {
        self.register(IntCounterVec::new(Opts::new(entry.name, entry.help), &names(entry))?)
    }

    /// Counters of a closed set, at zero from the start.
    pub fn closed_counters<L: Label>(&self, entry: &MetricEntry) -> Result<Children<L, IntCounter>, Error> {
        Ok(Children::new(&self.counters(entry)?))
    }

    /// Histograms whose series appear when they are first used.
    pub fn histograms(&self, entry: &MetricEntry) -> Result<HistogramVec, Error> {
        let MetricKind::Histogram(bounds) = entry.kind else {
            return Err(Error::Msg(format!("{} is not a histogram", entry.name)));
        };
        let buckets = bounds.iter().map(|bound| bound.seconds()).collect();
        let opts = HistogramOpts::new(entry.name, entry.help).buckets(buckets);
        self.register(HistogramVec::new(opts, &names(entry))?)
    }

    /// Histograms of a closed set, there from the start.
    pub fn closed_histograms<L: Label>(&self, entry: &MetricEntry) -> Result<Children<L, Histogram>, Error> {
        Ok(Children::new(&self.histograms(entry)?))
    }

    pub fn counter(&self, entry: &MetricEntry) -> Result<IntCounter, Error> {
        self.register(IntCounter::with_opts(Opts::new(entry.name, entry.help))?)
    }

    /// A gauge with one series.
    pub fn labelled_gauge(&self, entry: &MetricEntry, values: &[&str]) -> Result<IntGauge, Error> {
        let gauges = self.register(IntGaugeVec::new(Opts::new(entry.name, entry.help), &names(entry))?)?;
        gauges.get_metric_with_label_values(values)
    }

    pub fn gauge(&self, entry: &MetricEntry) -> Result<IntGauge, Error> {
        self.register(IntGauge::with_opts(Opts::new(entry.name, entry.help))?)
    }
}

fn names(entry: &MetricEntry) -> Vec<&'static str> {
    entry.labels.iter().map(|(name, _)| *name).collect()
}

/// The series of one metric by the positions of its label's values: recording
/// is an index, and every series is there from the start, at zero.
pub(super) struct Children<L, M> {
    children: Vec<M>,
    label: PhantomData<L>,
}

impl<L: Label, M: Metric + Clone> Children<L, M> {
    fn new<B: MetricVecBuilder<M = M>>(vec: &MetricVec<B>) -> Self {
        let children = L::ALL.iter().map(|value| vec.with_label_values(&[value.as_str()])).collect();
        Self { children, label: PhantomData }
    }

    pub fn with(&self, label: L, record: impl FnOnce(&M)) {
        if let Some(child) = self.children.get(label.index()) {
            record(child);
        }
    }
}

/// The description of metrics that are made at the scrape.
pub(super) fn descriptions(entries: &[MetricEntry]) -> Result<Vec<Desc>, Error> {
    let describe = |entry: &MetricEntry| {
        let labels = names(entry).into_iter().map(str::to_owned).collect();
        Desc::new(entry.name.to_owned(), entry.help.to_owned(), labels, HashMap::new())
    };
    entries.iter().map(describe).collect()
}

/// A gauge that is made at the scrape; one without samples is left out.
pub(super) fn family(entry: &MetricEntry, samples: Vec<proto::Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(entry.name.to_owned());
    family.set_help(entry.help.to_owned());
    family.set_field_type(MetricType::GAUGE);
    family.set_metric(samples);
    family
}

/// A sample with the values of its labels, in the order of the entry.
#[expect(clippy::cast_precision_loss, reason = "counts and seconds are below 2^53")]
pub(super) fn sample(entry: &MetricEntry, values: &[&str], value: i64) -> proto::Metric {
    let mut metric = proto::Metric::from_label(pairs(entry, values));
    let mut gauge = Gauge::default();
    gauge.set_value(value as f64);
    metric.set_gauge(gauge);
    metric
}

fn pairs(entry: &MetricEntry, values: &[&str]) -> Vec<LabelPair> {
    let named = entry.labels.iter().zip(values);
    named
        .map(|((name, _), value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        })
        .collect()
}

/// For a gauge.
pub(super) fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
