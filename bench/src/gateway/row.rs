//! The rows of the tables of throughput, and what the gateway must reach in each.

/// How clients come.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    name: &'static str,
    pub(super) connections: usize,
    /// Commands that a client sends before it waits for answers.
    pub(super) pipeline: usize,
    /// What the gateway must at the least do of what HAProxy does.
    pub(super) of_haproxy: f64,
    /// The same of twemproxy.
    pub(super) of_twemproxy: Option<f64>,
    /// Whether the gateway may take no more of the processors than HAProxy.
    pub(super) bounds_cpu: bool,
}

#[derive(Clone, Copy)]
pub(super) struct Row {
    pub(super) shape: Shape,
    /// Bytes of a value.
    pub(super) size: usize,
    pub(super) command: &'static str,
}

pub(super) const SIZES: [usize; 2] = [64, 4096];

/// SET comes before GET, so that what is read is there.
const COMMANDS: [&str; 2] = ["set", "get"];

pub(super) const SHAPES: [Shape; 3] = [
    Shape { name: "p1-50", connections: 50, pipeline: 1, of_haproxy: 1.4, of_twemproxy: None, bounds_cpu: false },
    Shape { name: "p16-50", connections: 50, pipeline: 16, of_haproxy: 1.0, of_twemproxy: Some(1.2), bounds_cpu: true },
    Shape { name: "p1-1000", connections: 1000, pipeline: 1, of_haproxy: 1.7, of_twemproxy: None, bounds_cpu: false },
];

impl Row {
    /// As it is asked for.
    pub(super) fn name(&self) -> String {
        format!("{}-{}-{}", self.shape.name, self.size, self.command)
    }
}

/// All of them, those with values of one size in a row.
pub(super) fn rows() -> Vec<Row> {
    let shapes = SIZES.iter().flat_map(|size| SHAPES.iter().map(move |shape| (*size, *shape)));
    shapes.flat_map(|(size, shape)| COMMANDS.map(|command| Row { shape, size, command })).collect()
}
