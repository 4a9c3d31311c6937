//! Whether a device does the work of a graph, judged by where its nodes were computed. An exporter may write
//! arithmetic on shapes into a graph ("twice the height of this tensor"); a provider for GPUs leaves that to
//! the processor, on purpose. Pictures it must not leave there.

/// Most elements of a tensor that is no picture: a shape, sizes, factors of an enlargement.
const MOST_OF_SHAPES: usize = 256;
/// Operators that are given whole tensors and look at their sizes alone.
const LOOK_AT_SIZES: [&str; 2] = ["Shape", "Size"];
/// Nodes that a sentence names.
const TOLD: usize = 3;

/// A node as it was computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it does: `Conv`.
    pub operator: String,
    /// What the graph calls it.
    pub name: String,
    /// Who computed it: `CUDAExecutionProvider`.
    pub provider: String,
    /// Elements of the largest tensor that it read.
    pub read: usize,
    /// Elements of the largest tensor that it wrote.
    pub wrote: usize,
}

impl Node {
    fn moves_pictures(&self) -> bool {
        let read = if LOOK_AT_SIZES.contains(&self.operator.as_str()) { 0 } else { self.read };
        read.max(self.wrote) > MOST_OF_SHAPES
    }
}

/// Of a graph that did not run on `provider` alone, for the reason `strict`, how many nodes may run
/// elsewhere: those that do so when they may, if all of them compute shapes.
///
/// # Errors
/// Why it is not served: pictures would be computed elsewhere; or nothing would, so that the first reason is
/// another one; or it does not run at all.
pub fn allowed(strict: &str, nodes: Result<&[Node], &str>, provider: &str) -> Result<usize, String> {
    let neither = |error: &str| match strict.contains(error) {
        true => strict.to_owned(),
        false => format!("{strict}; and leaving shapes to the processor: {error}"),
    };
    let nodes = nodes.map_err(neither)?;
    match shapes_elsewhere(nodes, provider)? {
        0 => Err(strict.to_owned()),
        count => Ok(count),
    }
}

/// How many nodes other providers than this one computed: of shapes, every one of them.
///
/// # Errors
/// Which nodes of pictures were computed elsewhere, or that none was computed by it.
pub fn shapes_elsewhere(nodes: &[Node], provider: &str) -> Result<usize, String> {
    let elsewhere: Vec<&Node> = nodes.iter().filter(|node| node.provider != provider).collect();
    if elsewhere.len() == nodes.len() {
        return Err(format!("none of its {} nodes runs on {provider}", nodes.len()));
    }
    let wrong: Vec<&&Node> = elsewhere.iter().filter(|node| node.moves_pictures()).collect();
    if wrong.is_empty() {
        return Ok(elsewhere.len());
    }
    let named: Vec<String> =
        wrong.iter().take(TOLD).map(|node| format!("{} {:?}", node.operator, node.name)).collect();
    let more = if wrong.len() > TOLD { ", …" } else { "" };
    let (count, all) = (wrong.len(), nodes.len());
    Err(format!("{count} of its {all} nodes would run elsewhere on pictures: {}{more}", named.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GPU: &str = "CUDAExecutionProvider";
    const PROCESSOR: &str = "CPUExecutionProvider";

    fn node(operator: &str, provider: &str, read: usize, wrote: usize) -> Node {
        let name = format!("/{}", operator.to_lowercase());
        Node { operator: operator.into(), name, provider: provider.into(), read, wrote }
    }

    #[test]
    fn arithmetic_on_shapes_may_be_anywhere_and_pictures_not() {
        let mut nodes = vec![
            node("Conv", GPU, 12_288, 65_536),
            node("Shape", PROCESSOR, 65_536, 4),
            node("Slice", PROCESSOR, 4, 2),
            node("Concat", PROCESSOR, 2, 4),
            node("Resize", GPU, 65_536, 262_144),
        ];
        assert_eq!(shapes_elsewhere(&nodes, GPU), Ok(3));
        nodes[4].provider = PROCESSOR.into();
        // A mean over the picture gives little and reads all of it.
        nodes.push(node("ReduceMean", PROCESSOR, 262_144, 1));
        let told = "2 of its 6 nodes would run elsewhere on pictures: \
                    Resize \"/resize\", ReduceMean \"/reducemean\"";
        assert_eq!(shapes_elsewhere(&nodes, GPU), Err(told.into()));
        nodes.extend([1, 2].map(|_| node("Gather", PROCESSOR, 4096, 4096)));
        assert!(shapes_elsewhere(&nodes, GPU).unwrap_err().ends_with("Gather \"/gather\", …"));
    }

    #[test]
    fn only_what_leaves_shapes_alone_is_allowed_to_leave_anything() {
        let nodes = [node("Conv", GPU, 9000, 9000), node("Gather", PROCESSOR, 4, 1)];
        assert_eq!(allowed("a node has no kernel", Ok(&nodes), GPU), Ok(1));
        let other = "its golden tile differs";
        assert_eq!(allowed(other, Ok(&nodes[..1]), GPU), Err(other.into()));
        let neither = allowed(other, Err("no memory"), GPU).unwrap_err();
        assert!(neither.starts_with(other) && neither.ends_with("no memory"), "{neither}");
        assert_eq!(allowed(other, Err("golden tile"), GPU), Err(other.into()));
        let wrong = [node("Conv", GPU, 9000, 9000), node("Conv", PROCESSOR, 9000, 9000)];
        assert!(allowed(other, Ok(&wrong), GPU).unwrap_err().starts_with("1 of its 2 nodes"));
    }

    #[test]
    fn a_device_that_does_nothing_does_not_do_the_work() {
        for nodes in [vec![], vec![node("Shape", PROCESSOR, 9, 4)]] {
            assert!(shapes_elsewhere(&nodes, GPU).unwrap_err().starts_with("none of its"));
        }
    }
}
