import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.IntStream;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;

/** The number at each offset of a topic's partitions, as somebody knows them. */
final class Numbers {
    private final List<Map<Long, Long>> partitions;

    Numbers(int count) {
        partitions = IntStream.range(0, count).<Map<Long, Long>>mapToObj(p -> new ConcurrentHashMap<>()).toList();
    }

    Map<Long, Long> of(int partition) {
        return partitions.get(partition);
    }

    long size() {
        return partitions.stream().mapToLong(Map::size).sum();
    }

    /** A record that is read twice, after a rebalance, is the same both times. */
    void note(ConsumerRecord<Long, Long> record) {
        var earlier = of(record.partition()).put(record.offset(), record.value());
        if (earlier != null && !earlier.equals(record.value())) {
            throw new AssertionError("partition " + record.partition() + " held " + earlier + " at offset " + record.offset() + ", now " + record.value());
        }
    }

    /** Everything that a reader is given from the start up to what is the end for it now. */
    static Numbers readAll(String topic, int count, KafkaConsumer<Long, Long> consumer) {
        var all = new Numbers(count);
        var partitions = IntStream.range(0, count).mapToObj(p -> new TopicPartition(topic, p)).toList();
        try (consumer) {
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            var ends = consumer.endOffsets(partitions);
            var deadline = Work.deadline();
            while (partitions.stream().anyMatch(at -> consumer.position(at) < ends.get(at))) {
                if (System.nanoTime() > deadline) throw new AssertionError("cannot read up to " + ends);
                for (var record : consumer.poll(Work.POLL)) all.note(record);
            }
        }
        return all;
    }

    /** What somebody else got is exactly this. */
    void compare(String who, Numbers got) {
        for (int p = 0; p < partitions.size(); p++) {
            if (of(p).equals(got.of(p))) continue;
            Set<Map.Entry<Long, Long>> lost = new HashSet<>(of(p).entrySet());
            lost.removeAll(got.of(p).entrySet());
            Set<Map.Entry<Long, Long>> more = new HashSet<>(got.of(p).entrySet());
            more.removeAll(of(p).entrySet());
            throw new AssertionError(who + ", partition " + p + ": lost " + lost + ", not acknowledged " + more);
        }
    }

    /** How many there are in each partition. */
    @Override
    public String toString() {
        return partitions.stream().map(Map::size).toList().toString();
    }
}
