//! Where the nodes of a graph go: in layers from left to right, with few crossings, as Sugiyama, Tagawa and Toda do it
//! ("Methods for visual understanding of hierarchical system structures", 1981).

/// A graph in layers. Places are nodes of the graph, and for edges over more than one layer a bend in each layer between.
#[derive(Debug)]
pub struct Layout {
    /// The layer of each place.
    pub layers: Vec<usize>,
    /// How far down each place is; two in a layer are at least 1 apart, and the topmost of all is at 0.
    pub heights: Vec<f64>,
    /// For each node and each of its inputs, the places that the edge leads through: the input, the bends, the node.
    pub edges: Vec<Vec<Vec<usize>>>,
}

/// Lays out a graph whose node i has the inputs `inputs[i]`, all before it.
pub fn layout(inputs: &[Vec<usize>]) -> Layout {
    let mut layers = layers(inputs);
    let mut neighbours = Neighbours::new(inputs.len());
    let edges = bend_long_edges(inputs, &mut layers, &mut neighbours);
    let order = fewest_crossings(first_order(inputs, &layers), &layers, &neighbours);
    let heights = heights(&order, &neighbours);
    Layout { layers, heights, edges }
}

/// The layer of each node: one more than that of the last of its inputs; leaves stand just before what needs them first.
fn layers(inputs: &[Vec<usize>]) -> Vec<usize> {
    let mut layers = vec![0; inputs.len()];
    for (node, inputs) in inputs.iter().enumerate() {
        layers[node] = inputs.iter().map(|&input| layers[input] + 1).max().unwrap_or(0);
    }
    for leaf in (0..inputs.len()).filter(|&node| inputs[node].is_empty()) {
        let users = (0..inputs.len()).filter(|&user| inputs[user].contains(&leaf));
        layers[leaf] = users.map(|user| layers[user] - 1).min().unwrap_or(0);
    }
    layers
}

/// The places before and after each place, by edges.
struct Neighbours {
    before: Vec<Vec<usize>>,
    after: Vec<Vec<usize>>,
}

impl Neighbours {
    fn new(places: usize) -> Self {
        Self { before: vec![Vec::new(); places], after: vec![Vec::new(); places] }
    }

    fn connect(&mut self, from: usize, to: usize) {
        self.after[from].push(to);
        self.before[to].push(from);
    }

    fn add_place(&mut self) -> usize {
        self.before.push(Vec::new());
        self.after.push(Vec::new());
        self.before.len() - 1
    }
}

/// Adds a place to each layer that an edge crosses; the edges of one node share them.
fn bend_long_edges(
    inputs: &[Vec<usize>],
    layers: &mut Vec<usize>,
    neighbours: &mut Neighbours,
) -> Vec<Vec<Vec<usize>>> {
    // The bends of each node's edges, layer after layer.
    let mut bends: Vec<Vec<usize>> = vec![Vec::new(); inputs.len()];
    let mut edges = Vec::new();
    for (node, inputs) in inputs.iter().enumerate() {
        let mut paths = Vec::new();
        for &input in inputs {
            let crossed = layers[node] - layers[input] - 1;
            while bends[input].len() < crossed {
                let (from, layer) = (*bends[input].last().unwrap_or(&input), layers[input] + bends[input].len() + 1);
                let bend = neighbours.add_place();
                layers.push(layer);
                neighbours.connect(from, bend);
                bends[input].push(bend);
            }
            let through = &bends[input][..crossed];
            neighbours.connect(*through.last().unwrap_or(&input), node);
            paths.push([&[input], through, &[node]].concat());
        }
        edges.push(paths);
    }
    edges
}

/// The places of each layer: nodes as one meets them going back from the last, input after input; then the bends.
fn first_order(inputs: &[Vec<usize>], layers: &[usize]) -> Vec<Vec<usize>> {
    let mut order = vec![Vec::new(); layers.iter().max().map_or(0, |last| last + 1)];
    let mut is_met = vec![false; inputs.len()];
    for root in (0..inputs.len()).rev() {
        let mut path = vec![root];
        while let Some(node) = path.pop() {
            if !std::mem::replace(&mut is_met[node], true) {
                order[layers[node]].push(node);
                path.extend(inputs[node].iter().rev());
            }
        }
    }
    (inputs.len()..layers.len()).for_each(|bend| order[layers[bend]].push(bend));
    order
}

/// Passes over all layers, there and back, in the search for fewer crossings.
const SWEEPS: usize = 24;

/// Sorts each layer by where its neighbours are, again and again, and keeps the order with the fewest crossings.
fn fewest_crossings(mut order: Vec<Vec<usize>>, layers: &[usize], neighbours: &Neighbours) -> Vec<Vec<usize>> {
    let mut best = (crossings(&order, layers, neighbours), order.clone());
    for sweep in 0..SWEEPS {
        let forwards = sweep % 2 == 0;
        let count = order.len();
        for step in 1..count {
            let (layer, beside) =
                if forwards { (step, &neighbours.before) } else { (count - 1 - step, &neighbours.after) };
            let ranks = ranks(&order, layers.len());
            let mean = |place: usize| {
                let beside = &beside[place];
                let sum: f64 = beside.iter().map(|&place| ranks[place]).sum();
                if beside.is_empty() { ranks[place] } else { sum / beside.len() as f64 }
            };
            // Stable: equals stay in their order.
            order[layer].sort_by(|&a, &b| mean(a).total_cmp(&mean(b)));
        }
        let found = crossings(&order, layers, neighbours);
        if found < best.0 {
            best = (found, order.clone());
        }
    }
    best.1
}

/// The position of each place in its layer.
fn ranks(order: &[Vec<usize>], places: usize) -> Vec<f64> {
    let mut ranks = vec![0.0; places];
    order.iter().flat_map(|layer| layer.iter().enumerate()).for_each(|(rank, &place)| ranks[place] = rank as f64);
    ranks
}

/// How many pairs of edges between neighbouring layers cross.
fn crossings(order: &[Vec<usize>], layers: &[usize], neighbours: &Neighbours) -> usize {
    let ranks = ranks(order, layers.len());
    let mut count = 0;
    for layer in order {
        let edges: Vec<(f64, f64)> = layer
            .iter()
            .flat_map(|&from| neighbours.after[from].iter().map(move |&to| (from, to)))
            .map(|(from, to)| (ranks[from], ranks[to]))
            .collect();
        for (i, a) in edges.iter().enumerate() {
            count += edges[..i].iter().filter(|b| (a.0 - b.0) * (a.1 - b.1) < 0.0).count();
        }
    }
    count
}

/// Passes over all layers in which places move to the middle of their neighbours.
const MOVES: usize = 40;

/// How far down each place is.
fn heights(order: &[Vec<usize>], neighbours: &Neighbours) -> Vec<f64> {
    let mut heights = ranks(order, neighbours.before.len());
    for _ in 0..MOVES {
        for layer in order.iter().chain(order.iter().rev()) {
            let wanted = layer.iter().map(|&place| {
                let beside = neighbours.before[place].iter().chain(&neighbours.after[place]);
                let (sum, count) = beside.fold((0.0, 0), |(sum, count), &place| (sum + heights[place], count + 1));
                if count == 0 { heights[place] } else { sum / f64::from(count) }
            });
            let apart = apart(&wanted.collect::<Vec<_>>());
            layer.iter().zip(apart).for_each(|(&place, height)| heights[place] = height);
        }
    }
    let top = heights.iter().copied().fold(f64::INFINITY, f64::min);
    heights.iter().map(|height| height - top).collect()
}

/// Moves `wanted` apart, until each is at least 1 after the one before: half way between pushing only down and only up.
fn apart(wanted: &[f64]) -> Vec<f64> {
    let mut down = wanted.to_vec();
    (1..down.len()).for_each(|i| down[i] = down[i].max(down[i - 1] + 1.0));
    let mut up = wanted.to_vec();
    (1..up.len()).rev().for_each(|i| up[i - 1] = up[i - 1].min(up[i] - 1.0));
    down.iter().zip(up).map(|(down, up)| f64::midpoint(*down, up)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every edge leads from layer to layer, and nothing in a layer is closer than 1.
    fn checked(inputs: &[Vec<usize>]) -> Layout {
        let layout = layout(inputs);
        for (node, paths) in layout.edges.iter().enumerate() {
            assert_eq!(paths.len(), inputs[node].len());
            for (path, &input) in paths.iter().zip(&inputs[node]) {
                assert_eq!((path[0], path[path.len() - 1]), (input, node));
                assert!(path.windows(2).all(|pair| layout.layers[pair[0]] + 1 == layout.layers[pair[1]]), "{path:?}");
            }
        }
        for a in 0..layout.layers.len() {
            for b in 0..a {
                let distance = (layout.heights[a] - layout.heights[b]).abs();
                assert!(layout.layers[a] != layout.layers[b] || distance > 1.0 - 1e-9, "{a} and {b}: {layout:?}");
            }
        }
        layout
    }

    #[test]
    fn the_product_of_the_slides() {
        // x, y, z, q = x + y, f = q z.
        let layout = checked(&[vec![], vec![], vec![], vec![0, 1], vec![3, 2]]);
        assert_eq!(layout.layers, [0, 0, 1, 1, 2]);
        let [x, y, z, q, _] = [0, 1, 2, 3, 4].map(|node| layout.heights[node]);
        assert!(x < y && q < z && x < q && q < y, "{layout:?}");
    }

    #[test]
    fn crossings_are_undone() {
        // Two chains whose leaves come in the other order than their ends.
        let inputs = [vec![], vec![], vec![1], vec![0], vec![2], vec![3], vec![5, 4]];
        let layout = checked(&inputs);
        let is_above = |a: usize, b: usize| layout.heights[a] < layout.heights[b];
        assert_eq!(is_above(0, 1), is_above(3, 2));
        assert_eq!(is_above(3, 2), is_above(5, 4));
    }

    #[test]
    fn long_edges_bend_in_each_layer() {
        let inputs = [vec![], vec![], vec![0], vec![2, 1], vec![3, 0], vec![4, 0]];
        let layout = checked(&inputs);
        assert_eq!(layout.edges[5][1].len(), 5);
        // Edges of one node share their bends.
        assert_eq!(layout.edges[4][1][..3], layout.edges[5][1][..3]);
    }

    #[test]
    fn nothing_and_lone_nodes_are_laid_out() {
        assert!(checked(&[]).heights.is_empty());
        checked(&[vec![], vec![], vec![]]);
    }
}
