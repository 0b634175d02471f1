//! The nodes that DescribeCluster names.

use alloc::string::ToString;

use strandline_wire::messages::describe_cluster_response::DescribeClusterBroker;

use super::metadata::Listening;
use crate::image::Image;

/// Brokers with an endpoint on this listener; fenced ones only if asked for.
pub fn broker_endpoints<'a>(
    image: &'a Image,
    listening: Listening<'a>,
    with_fenced: bool,
) -> impl Iterator<Item = DescribeClusterBroker> + 'a {
    let shown = image.cluster.brokers().filter(move |b| with_fenced || !b.is_fenced());
    shown.filter_map(move |broker| {
        let endpoint = broker.endpoint(listening.listener)?;
        Some(DescribeClusterBroker {
            broker_id: broker.id().get(),
            host: endpoint.host.clone(),
            port: i32::from(endpoint.port),
            rack: broker.rack().map(ToString::to_string),
            is_fenced: broker.is_fenced(),
            ..Default::default()
        })
    })
}

/// Registered controllers with an endpoint on this listener.
pub fn controller_endpoints<'a>(
    image: &'a Image,
    listening: Listening<'a>,
) -> impl Iterator<Item = DescribeClusterBroker> + 'a {
    image.cluster.controllers().filter_map(move |controller| {
        let endpoint = controller.end_points.iter().find(|e| e.name == listening.listener)?;
        Some(DescribeClusterBroker {
            broker_id: controller.controller_id,
            host: endpoint.host.clone(),
            port: i32::from(endpoint.port),
            ..Default::default()
        })
    })
}
