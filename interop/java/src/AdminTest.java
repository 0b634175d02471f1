import static org.junit.jupiter.api.Assertions.*;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigOp.OpType;
import org.apache.kafka.clients.admin.AlterConfigsOptions;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConfigEntry.ConfigSource;
import org.apache.kafka.clients.admin.CreatePartitionsOptions;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.ListConfigResourcesOptions;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicListing;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.*;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;

/** Every call of the Admin client that a broker with classic groups and without transactions serves. */
class AdminTest {
    private static final Admin ADMIN = Broker.admin();

    @AfterAll
    static void close() {
        ADMIN.close();
    }

    /** A change is answered by the controller and seen by the broker a moment later; 0 means gone. */
    private static void awaitPartitions(String topic, int count) throws InterruptedException {
        Broker.await(topic + " has " + count + " partitions", () -> {
            try {
                return Broker.get(ADMIN.describeTopics(List.of(topic)).allTopicNames()).get(topic).partitions().size() == count;
            } catch (Exception unknown) {
                return count == 0;
            }
        });
    }

    private static NewTopic plain(String name) {
        return new NewTopic(name, 1, (short) 1);
    }

    private static Class<?> refusalOf(NewTopic topic) throws Exception {
        return refusal(ADMIN.createTopics(List.of(topic)).all());
    }

    private static Class<?> refusal(org.apache.kafka.common.KafkaFuture<?> future) throws Exception {
        return Broker.refusal(future);
    }

    @Test
    void topicsAreCreatedAsAsked() throws Exception {
        var byCount = Broker.fresh("topic");
        var byAssignment = Broker.fresh("topic");
        var byDefault = Broker.fresh("topic");
        var created = ADMIN.createTopics(List.of(
                new NewTopic(byCount, 3, (short) 1).configs(Map.of("retention.ms", "60000")),
                new NewTopic(byAssignment, Map.of(0, List.of(1), 1, List.of(1))),
                new NewTopic(byDefault, Optional.empty(), Optional.empty())));
        assertEquals(3, Broker.get(created.numPartitions(byCount)));
        assertEquals(1, Broker.get(created.replicationFactor(byCount)));
        assertEquals("60000", Broker.get(created.config(byCount)).get("retention.ms").value());
        assertEquals(2, Broker.get(created.numPartitions(byAssignment)));
        assertEquals(1, Broker.get(created.numPartitions(byDefault)));
        var id = Broker.get(created.topicId(byCount));

        awaitPartitions(byDefault, 1);
        var named = Broker.get(ADMIN.describeTopics(List.of(byCount, byAssignment)).allTopicNames());
        assertEquals(id, named.get(byCount).topicId());
        assertFalse(named.get(byCount).isInternal());
        for (int i = 0; i < 3; i++) {
            var partition = named.get(byCount).partitions().get(i);
            assertEquals(i, partition.partition());
            assertEquals(1, partition.leader().id());
            assertEquals(List.of(1), partition.replicas().stream().map(node -> node.id()).toList());
            assertEquals(partition.replicas(), partition.isr());
            assertEquals(List.of(), partition.elr());
        }
        var byId = Broker.get(ADMIN.describeTopics(TopicCollection.ofTopicIds(List.of(id))).allTopicIds());
        assertEquals(byCount, byId.get(id).name());
        var listed = Broker.get(ADMIN.listTopics(new ListTopicsOptions().listInternal(false)).namesToListings());
        assertEquals(id, listed.get(byCount).topicId());
        assertTrue(listed.values().stream().noneMatch(TopicListing::isInternal));

        Broker.get(ADMIN.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all());
        Broker.get(ADMIN.deleteTopics(List.of(byAssignment, byDefault)).all());
        awaitPartitions(byCount, 0);
        assertEquals(UnknownTopicOrPartitionException.class, refusal(ADMIN.deleteTopics(List.of(byCount)).all()));
        assertEquals(UnknownTopicIdException.class, refusal(ADMIN.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all()));
        assertEquals(UnknownTopicOrPartitionException.class, refusal(ADMIN.describeTopics(List.of(byCount)).allTopicNames()));
    }

    @Test
    void aTopicMadeAnewHasAnotherIdAndNoOldRecords() throws Exception {
        var name = Broker.createTopic(1);
        Broker.fill(name, 0, 10, 1);
        var before = Broker.get(ADMIN.describeTopics(List.of(name)).allTopicNames()).get(name).topicId();
        Broker.get(ADMIN.deleteTopics(List.of(name)).all());
        awaitPartitions(name, 0);
        var after = Broker.get(ADMIN.createTopics(List.of(plain(name))).topicId(name));
        assertNotEquals(before, after);
        awaitPartitions(name, 1);
        assertEquals(0, Broker.fill(name, 0, 1, 1).get(0).offset());
    }

    @Test
    void topicsAreRefusedByClass() throws Exception {
        var name = Broker.createTopic(1);
        assertEquals(TopicExistsException.class, refusalOf(plain(name)));
        for (var bad : List.of("", ".", "..", "not/allowed", "ü", "x".repeat(250))) {
            assertEquals(InvalidTopicException.class, refusalOf(plain(bad)), bad);
        }
        var stem = Broker.fresh("collide");
        Broker.get(ADMIN.createTopics(List.of(plain(stem + ".x"))).all());
        assertEquals(InvalidTopicException.class, refusalOf(plain(stem + "_x")));
        var absent = Broker.fresh("absent");
        assertEquals(InvalidPartitionsException.class, refusalOf(new NewTopic(absent, 0, (short) 1)));
        assertEquals(InvalidReplicationFactorException.class, refusalOf(new NewTopic(absent, 1, (short) 0)));
        assertEquals(InvalidReplicationFactorException.class, refusalOf(new NewTopic(absent, 1, (short) 2)));
        assertEquals(InvalidReplicaAssignmentException.class, refusalOf(new NewTopic(absent, Map.of(1, List.of(1)))));
        assertEquals(InvalidReplicaAssignmentException.class, refusalOf(new NewTopic(absent, Map.of(0, List.of(99)))));
        assertEquals(InvalidConfigurationException.class, refusalOf(plain(absent).configs(Map.of("no.such.key", "1"))));
        assertEquals(InvalidConfigurationException.class, refusalOf(plain(absent).configs(Map.of("segment.bytes", "1"))));
        assertEquals(InvalidConfigurationException.class, refusalOf(plain(absent).configs(Map.of("cleanup.policy", "burn"))));

        var trial = new CreateTopicsOptions().validateOnly(true);
        Broker.get(ADMIN.createTopics(List.of(plain(absent)), trial).all());
        assertEquals(TopicExistsException.class, refusal(ADMIN.createTopics(List.of(plain(name)), trial).all()));
        assertFalse(Broker.get(ADMIN.listTopics().names()).contains(absent));
    }

    @Test
    void partitionsGrowAndNeverShrink() throws Exception {
        var name = Broker.createTopic(2);
        var trial = new CreatePartitionsOptions().validateOnly(true);
        Broker.get(ADMIN.createPartitions(Map.of(name, NewPartitions.increaseTo(4)), trial).all());
        Broker.get(ADMIN.createPartitions(Map.of(name, NewPartitions.increaseTo(3))).all());
        Broker.get(ADMIN.createPartitions(Map.of(name, NewPartitions.increaseTo(4, List.of(List.of(1))))).all());
        for (int count : new int[] {4, 2, 0}) {
            assertEquals(InvalidPartitionsException.class, refusal(ADMIN.createPartitions(Map.of(name, NewPartitions.increaseTo(count))).all()));
        }
        assertEquals(InvalidReplicaAssignmentException.class,
                refusal(ADMIN.createPartitions(Map.of(name, NewPartitions.increaseTo(5, List.of(List.of(9))))).all()));
        assertEquals(UnknownTopicOrPartitionException.class,
                refusal(ADMIN.createPartitions(Map.of(Broker.fresh("absent"), NewPartitions.increaseTo(5))).all()));
        awaitPartitions(name, 4);
        assertEquals(3, Broker.fill(name, 0, 4, 4).get(3).partition());
    }

    private static ConfigResource topic(String name) {
        return new ConfigResource(ConfigResource.Type.TOPIC, name);
    }

    private static org.apache.kafka.common.KafkaFuture<Void> alter(ConfigResource what, OpType how, String key, String value) {
        return ADMIN.incrementalAlterConfigs(Map.of(what, List.of(new AlterConfigOp(new ConfigEntry(key, value), how)))).all();
    }

    private static Config describe(ConfigResource what) throws Exception {
        var options = new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true);
        return Broker.get(ADMIN.describeConfigs(List.of(what), options).all()).get(what);
    }

    @Test
    void topicConfigsSayWhereTheyComeFrom() throws Exception {
        var what = topic(Broker.createTopic(1));
        var retention = describe(what).get("retention.ms");
        assertEquals("604800000", retention.value());
        assertEquals(ConfigSource.DEFAULT_CONFIG, retention.source());
        assertEquals(ConfigEntry.ConfigType.LONG, retention.type());
        assertFalse(retention.isReadOnly() || retention.isSensitive());
        assertFalse(retention.documentation().isEmpty());

        Broker.get(alter(what, OpType.SET, "retention.ms", "1234"));
        awaitConfig(what, "retention.ms", "1234/DYNAMIC_TOPIC_CONFIG");
        retention = describe(what).get("retention.ms");
        assertEquals(List.of("retention.ms=1234"),
                retention.synonyms().stream().map(s -> s.name() + "=" + s.value()).toList());

        assertEquals(List.of("message.max.bytes=1048588"),
                describe(what).get("max.message.bytes").synonyms().stream().map(s -> s.name() + "=" + s.value()).toList());

        Broker.get(alter(what, OpType.APPEND, "cleanup.policy", "compact"));
        awaitConfig(what, "cleanup.policy", "delete,compact/DYNAMIC_TOPIC_CONFIG");
        Broker.get(alter(what, OpType.SUBTRACT, "cleanup.policy", "delete"));
        awaitConfig(what, "cleanup.policy", "compact/DYNAMIC_TOPIC_CONFIG");
        Broker.get(alter(what, OpType.DELETE, "cleanup.policy", null));
        awaitConfig(what, "cleanup.policy", "delete/DEFAULT_CONFIG");

        assertEquals(InvalidConfigurationException.class, refusal(alter(what, OpType.SET, "max.message.bytes", "-1")));
        assertEquals(InvalidConfigurationException.class, refusal(alter(what, OpType.SET, "no.such.key", "1")));
        assertEquals(InvalidConfigurationException.class, refusal(alter(what, OpType.APPEND, "retention.ms", "1")));
        assertEquals(UnknownTopicOrPartitionException.class, refusal(alter(topic(Broker.fresh("absent")), OpType.SET, "retention.ms", "1")));
        assertEquals(UnknownTopicOrPartitionException.class, refusal(ADMIN.describeConfigs(List.of(topic(Broker.fresh("absent")))).all()));
        var change = Map.<ConfigResource, java.util.Collection<AlterConfigOp>>of(what, List.of(new AlterConfigOp(new ConfigEntry("retention.ms", "99"), OpType.SET)));
        Broker.get(ADMIN.incrementalAlterConfigs(change, new AlterConfigsOptions().validateOnly(true)).all());
        assertEquals("1234", describe(what).get("retention.ms").value());
    }

    @Test
    void everyTopicConfigOf43IsDescribed() throws Exception {
        var described = describe(topic(Broker.createTopic(1))).entries().stream().map(ConfigEntry::name).collect(Collectors.toSet());
        var missing = new java.util.TreeSet<>(Set.of(
                "cleanup.policy", "compression.gzip.level", "compression.lz4.level", "compression.type", "compression.zstd.level",
                "delete.retention.ms", "file.delete.delay.ms", "flush.messages", "flush.ms", "follower.replication.throttled.replicas",
                "index.interval.bytes", "leader.replication.throttled.replicas", "local.retention.bytes", "local.retention.ms",
                "max.compaction.lag.ms", "max.message.bytes", "message.timestamp.after.max.ms", "message.timestamp.before.max.ms",
                "message.timestamp.type", "min.cleanable.dirty.ratio", "min.compaction.lag.ms", "min.insync.replicas", "preallocate",
                "remote.log.copy.disable", "remote.log.delete.on.disable", "remote.storage.enable", "retention.bytes", "retention.ms",
                "segment.bytes", "segment.index.bytes", "segment.jitter.ms", "segment.ms", "unclean.leader.election.enable"));
        missing.removeAll(described);
        assertEquals(Set.of(), missing);
    }

    @Test
    void brokerConfigsAreLayered() throws Exception {
        var one = new ConfigResource(ConfigResource.Type.BROKER, "1");
        var all = new ConfigResource(ConfigResource.Type.BROKER, "");
        var key = "log.cleaner.threads";
        assertTrue(describe(one).get("node.id").isReadOnly());
        assertEquals(ConfigSource.STATIC_BROKER_CONFIG, describe(one).get("listeners").source());
        Broker.get(alter(all, OpType.SET, key, "2"));
        awaitConfig(one, key, "2/DYNAMIC_DEFAULT_BROKER_CONFIG");
        Broker.get(alter(one, OpType.SET, key, "1"));
        awaitConfig(one, key, "1/DYNAMIC_BROKER_CONFIG");
        assertEquals("2/DYNAMIC_DEFAULT_BROKER_CONFIG", value(all, key));
        Broker.get(alter(one, OpType.DELETE, key, null));
        Broker.get(alter(all, OpType.DELETE, key, null));
        awaitConfig(one, key, "1/DEFAULT_CONFIG");
        assertEquals(InvalidRequestException.class, refusal(alter(one, OpType.SET, "node.id", "2")));
        assertEquals(InvalidRequestException.class, refusal(alter(one, OpType.SET, key, "many")));
    }

    /** A change is answered by the controller and seen by the broker a moment later. */
    private static void awaitConfig(ConfigResource what, String key, String expected) throws InterruptedException {
        Broker.await(key + " is " + expected, () -> value(what, key).equals(expected));
    }

    private static String value(ConfigResource what, String key) {
        try {
            var entry = describe(what).get(key);
            return entry.value() + "/" + entry.source();
        } catch (Exception error) {
            throw new AssertionError(error);
        }
    }

    @Test
    void configResourcesAreListed() throws Exception {
        var name = Broker.createTopic(1);
        var listed = Broker.get(ADMIN.listConfigResources(Set.of(ConfigResource.Type.TOPIC, ConfigResource.Type.BROKER), new ListConfigResourcesOptions()).all());
        assertTrue(listed.contains(topic(name)));
        assertTrue(listed.contains(new ConfigResource(ConfigResource.Type.BROKER, "1")));
        assertTrue(listed.stream().allMatch(r -> r.type() == ConfigResource.Type.TOPIC || r.type() == ConfigResource.Type.BROKER));
    }

    @Test
    void offsetsAreListedForEachQuestion() throws Exception {
        var name = Broker.createTopic(1);
        var partition = Broker.at(name, 0);
        assertEquals(-1, offset(name, OffsetSpec.maxTimestamp()), "an empty log has no greatest time");
        try (var producer = Broker.producer()) {
            for (int i = 0; i < 10; i++) producer.send(new ProducerRecord<>(name, 0, Broker.HOUR_AGO + i * 7 % 10, null, "x"));
        }
        assertEquals(0, offset(name, OffsetSpec.earliest()));
        assertEquals(10, offset(name, OffsetSpec.latest()));
        assertEquals(7, offset(name, OffsetSpec.maxTimestamp()), "the record with the greatest time");
        assertEquals(4, offset(name, OffsetSpec.forTimestamp(Broker.HOUR_AGO + 8)), "the first at or after");
        assertEquals(-1, offset(name, OffsetSpec.forTimestamp(Broker.HOUR_AGO + 10)));
        assertEquals(0, offset(name, OffsetSpec.earliestLocal()));
        assertEquals(-1, offset(name, OffsetSpec.latestTiered()), "nothing is tiered");
        assertEquals(0, Broker.get(ADMIN.listOffsets(Map.of(partition, OffsetSpec.earliest())).partitionResult(partition)).leaderEpoch().orElse(-1));

        assertEquals(4, Broker.get(ADMIN.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(4))).lowWatermarks().get(partition)).lowWatermark());
        assertEquals(4, offset(name, OffsetSpec.earliest()));
        assertEquals(4, Broker.get(ADMIN.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(2))).lowWatermarks().get(partition)).lowWatermark());
        assertEquals(OffsetOutOfRangeException.class, refusal(ADMIN.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(11))).all()));
        assertEquals(10, Broker.get(ADMIN.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(-1))).lowWatermarks().get(partition)).lowWatermark());
        assertEquals(10, offset(name, OffsetSpec.earliest()));
        var compacted = Broker.createTopic(1, "cleanup.policy", "compact");
        assertEquals(PolicyViolationException.class, refusal(ADMIN.deleteRecords(Map.of(Broker.at(compacted, 0), RecordsToDelete.beforeOffset(0))).all()));
    }

    private static long offset(String topic, OffsetSpec spec) throws Exception {
        var partition = Broker.at(topic, 0);
        return Broker.get(ADMIN.listOffsets(Map.of(partition, spec)).partitionResult(partition)).offset();
    }

    @Test
    void groupsAreSeenChangedAndDeleted() throws Exception {
        var name = Broker.createTopic(2);
        var group = Broker.fresh("group");
        var first = Broker.at(name, 0);
        var second = Broker.at(name, 1);
        try (var consumer = Broker.consumer("group.id", group, "client.id", "seen-by-admin")) {
            consumer.subscribe(List.of(name));
            while (consumer.assignment().size() < 2) consumer.poll(java.time.Duration.ofMillis(50));
            consumer.commitSync(Map.of(first, new OffsetAndMetadata(3), second, new OffsetAndMetadata(4)));

            var described = Broker.get(ADMIN.describeConsumerGroups(List.of(group)).all()).get(group);
            assertEquals(GroupState.STABLE, described.groupState());
            assertEquals("range", described.partitionAssignor());
            assertEquals(1, described.coordinator().id());
            var member = described.members().iterator().next();
            assertEquals("seen-by-admin", member.clientId());
            assertTrue(member.consumerId().startsWith("seen-by-admin-"));
            assertEquals(Set.of(first, second), member.assignment().topicPartitions());
            assertEquals("consumer", Broker.get(ADMIN.describeClassicGroups(List.of(group)).all()).get(group).protocol());
            assertTrue(Broker.get(ADMIN.listGroups().all()).stream().anyMatch(g -> g.groupId().equals(group) && g.groupState().equals(Optional.of(GroupState.STABLE))));

            assertEquals(UnknownMemberIdException.class, refusal(ADMIN.alterConsumerGroupOffsets(group, Map.of(first, new OffsetAndMetadata(0))).all()));
            assertEquals(GroupSubscribedToTopicException.class, refusal(ADMIN.deleteConsumerGroupOffsets(group, Set.of(first)).partitionResult(first)));
            assertEquals(GroupNotEmptyException.class, refusal(ADMIN.deleteConsumerGroups(List.of(group)).all()));
        }
        var empty = Broker.get(ADMIN.describeConsumerGroups(List.of(group)).all()).get(group);
        assertEquals(GroupState.EMPTY, empty.groupState());
        assertEquals(0, empty.members().size());

        Broker.get(ADMIN.alterConsumerGroupOffsets(group, Map.of(first, new OffsetAndMetadata(0, Optional.empty(), "again"))).all());
        var offsets = Broker.get(ADMIN.listConsumerGroupOffsets(Map.of(group, new ListConsumerGroupOffsetsSpec())).all()).get(group);
        assertEquals(Map.of(first, new OffsetAndMetadata(0, Optional.empty(), "again"), second, new OffsetAndMetadata(4)), offsets);
        Broker.get(ADMIN.deleteConsumerGroupOffsets(group, Set.of(first)).all());
        assertEquals(Set.of(second), Broker.get(ADMIN.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()).keySet());

        Broker.get(ADMIN.deleteTopics(List.of(name)).all());
        Broker.await("a deleted topic takes its offsets along", () -> {
            try {
                return Broker.get(ADMIN.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()).isEmpty();
            } catch (Exception error) {
                throw new AssertionError(error);
            }
        });
        assertEquals(GroupIdNotFoundException.class, refusal(ADMIN.describeClassicGroups(List.of(Broker.fresh("absent"))).all()));
        assertEquals(GroupIdNotFoundException.class, refusal(ADMIN.deleteConsumerGroups(List.of(Broker.fresh("absent"))).all()));
        assertEquals(Map.of(), Broker.get(ADMIN.listConsumerGroupOffsets(Broker.fresh("absent")).partitionsToOffsetAndMetadata()));
    }

    @Test
    void anEmptyGroupIsDeletedWithItsOffsets() throws Exception {
        var name = Broker.createTopic(1);
        var group = Broker.fresh("group");
        Broker.get(ADMIN.alterConsumerGroupOffsets(group, Map.of(Broker.at(name, 0), new OffsetAndMetadata(5))).all());
        Broker.get(ADMIN.deleteConsumerGroups(List.of(group)).all());
        assertEquals(Map.of(), Broker.get(ADMIN.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()));
        assertTrue(Broker.get(ADMIN.listGroups().all()).stream().noneMatch(g -> g.groupId().equals(group)));
    }

    @Test
    void theClusterDescribesItself() throws Exception {
        var cluster = ADMIN.describeCluster();
        assertEquals(22, Broker.get(cluster.clusterId()).length());
        var nodes = List.copyOf(Broker.get(cluster.nodes()));
        assertEquals(1, nodes.size());
        assertEquals(1, nodes.get(0).id());
        assertEquals(Broker.BOOTSTRAP, nodes.get(0).host() + ":" + nodes.get(0).port());
        assertEquals(1, Broker.get(cluster.controller()).id());

        var quorum = Broker.get(ADMIN.describeMetadataQuorum().quorumInfo());
        assertEquals(1, quorum.leaderId());
        assertEquals(List.of(1), quorum.voters().stream().map(voter -> voter.replicaId()).toList());
        assertTrue(quorum.highWatermark() > 0 && quorum.leaderEpoch() > 0);
        assertEquals(1, quorum.nodes().size());
    }

    @Test
    void featuresAreFinalizedAndGuarded() throws Exception {
        var features = Broker.get(ADMIN.describeFeatures().featureMetadata());
        assertEquals(30, features.finalizedFeatures().get("metadata.version").maxVersionLevel());
        assertTrue(features.supportedFeatures().get("metadata.version").maxVersion() >= 30);
        assertTrue(features.finalizedFeaturesEpoch().isPresent());
        var trial = new UpdateFeaturesOptions().validateOnly(true);
        for (var bad : Map.of("metadata.version", (short) 999, "no.such.feature", (short) 1).entrySet()) {
            var update = new FeatureUpdate(bad.getValue(), FeatureUpdate.UpgradeType.UPGRADE);
            assertEquals(InvalidUpdateVersionException.class, refusal(ADMIN.updateFeatures(Map.of(bad.getKey(), update), trial).all()), bad.getKey());
        }
        var same = new FeatureUpdate((short) 30, FeatureUpdate.UpgradeType.UPGRADE);
        Broker.get(ADMIN.updateFeatures(Map.of("metadata.version", same), trial).all());
    }

    @Test
    void logDirsTellSizes() throws Exception {
        var name = Broker.createTopic(1);
        Broker.fill(name, 0, 100, 1);
        var dirs = Broker.get(ADMIN.describeLogDirs(List.of(1)).allDescriptions()).get(1);
        assertEquals(1, dirs.size());
        var dir = dirs.values().iterator().next();
        assertNull(dir.error());
        assertTrue(dir.totalBytes().orElse(0) > dir.usableBytes().orElse(0) && dir.usableBytes().orElse(0) > 0);
        var replica = dir.replicaInfos().get(Broker.at(name, 0));
        assertTrue(replica.size() > 500 && replica.offsetLag() == 0 && !replica.isFuture());
        var where = new TopicPartitionReplica(name, 0, 1);
        assertEquals(dirs.keySet().iterator().next(), Broker.get(ADMIN.describeReplicaLogDirs(List.of(where)).all()).get(where).getCurrentReplicaLogDir());
    }

    @Test
    void producersAreKnownToTheirPartition() throws Exception {
        var name = Broker.createTopic(1);
        var partition = Broker.at(name, 0);
        try (var one = Broker.producer(); var other = Broker.producer()) {
            for (int i = 0; i < 3; i++) one.send(new ProducerRecord<>(name, "x")).get();
            other.send(new ProducerRecord<>(name, "x")).get();
            var states = Broker.get(ADMIN.describeProducers(List.of(partition)).partitionResult(partition)).activeProducers();
            assertEquals(Set.of(2, 0), states.stream().map(state -> state.lastSequence()).collect(Collectors.toSet()));
            assertEquals(2, states.stream().map(state -> state.producerId()).distinct().count());
            assertTrue(states.stream().allMatch(state -> state.producerEpoch() == 0 && state.currentTransactionStartOffset().isEmpty()));
        }
    }
}
