// Record batches of every codec, written and read by Kafka's own classes.
//
//   java RecordVectors write FILE    writes the batches of the case list, back to back
//   java RecordVectors check FILE    reads such a file and compares every field of every record
//
// The case list and the rule for a record's content stand a second time in
// crates/wire/tests/record_vectors/cases.rs, so neither side needs the other's file to know what
// must be in it.

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Objects;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.record.internal.Record;

public final class RecordVectors {
    static final long EPOCH_MS = 1_700_000_000_000L;
    static final long APPEND_TIME = EPOCH_MS + 123_456;
    static final int LEADER_EPOCH = 5;

    record Content(long timestamp, byte[] key, byte[] value, Header[] headers) {}

    enum Shape {
        ONE(1, 10), FEW(40, 30), MANY(300, 600), NOISE(1, 70_000);

        final int count;
        final int valueLength;

        Shape(int count, int valueLength) {
            this.count = count;
            this.valueLength = valueLength;
        }

        Content record(int index) {
            byte[] value = new byte[valueLength];
            int state = index + 1;
            for (int at = 0; at < valueLength; at++) {
                state = state * 1_103_515_245 + 12_345;
                value[at] = (byte) (this == NOISE ? state >>> 16 : index + at / 16);
            }
            byte[] key = ("key-" + index).getBytes(StandardCharsets.UTF_8);
            Header[] headers = {
                new RecordHeader("h" + index, new byte[] {(byte) index}), new RecordHeader("n", (byte[]) null)
            };
            return new Content(EPOCH_MS + index * 37L % 1000, index % 3 == 2 ? null : key,
                    index % 5 == 4 ? null : value, index % 4 == 1 ? headers : new Header[0]);
        }
    }

    /** What kind of batch besides its content. */
    enum Kind { PLAIN, LOG_APPEND_TIME, TRANSACTIONAL, COMMIT_MARKER, ABORT_MARKER }

    record Case(CompressionType codec, Shape shape, Kind kind) {}

    static List<Case> cases() {
        List<Case> cases = new ArrayList<>();
        for (CompressionType codec : CompressionType.values()) {
            cases.add(new Case(codec, Shape.ONE, Kind.PLAIN));
            cases.add(new Case(codec, Shape.FEW, Kind.PLAIN));
            if (codec != CompressionType.NONE) {
                cases.add(new Case(codec, Shape.MANY, Kind.PLAIN));
            }
            cases.add(new Case(codec, Shape.FEW, Kind.LOG_APPEND_TIME));
            cases.add(new Case(codec, Shape.FEW, Kind.TRANSACTIONAL));
        }
        cases.add(new Case(CompressionType.LZ4, Shape.NOISE, Kind.PLAIN));
        cases.add(new Case(CompressionType.NONE, Shape.ONE, Kind.COMMIT_MARKER));
        cases.add(new Case(CompressionType.NONE, Shape.ONE, Kind.ABORT_MARKER));
        return cases;
    }

    static ByteBuffer build(Case c, long baseOffset) {
        boolean isMarker = c.kind == Kind.COMMIT_MARKER || c.kind == Kind.ABORT_MARKER;
        boolean isTransactional = c.kind == Kind.TRANSACTIONAL || isMarker;
        boolean isDated = c.kind == Kind.LOG_APPEND_TIME;
        MemoryRecordsBuilder builder = new MemoryRecordsBuilder(ByteBuffer.allocate(1 << 20), (byte) 2,
                Compression.of(c.codec).build(), isDated ? TimestampType.LOG_APPEND_TIME : TimestampType.CREATE_TIME,
                baseOffset, isDated ? APPEND_TIME : -1L, isTransactional ? 77L : -1L,
                (short) (isTransactional ? 3 : -1), c.kind == Kind.TRANSACTIONAL ? 11 : -1,
                isTransactional, isMarker, LEADER_EPOCH, 1 << 20);
        if (isMarker) {
            ControlRecordType type =
                    c.kind == Kind.COMMIT_MARKER ? ControlRecordType.COMMIT : ControlRecordType.ABORT;
            builder.appendEndTxnMarker(EPOCH_MS, new EndTransactionMarker(type, 9));
        } else {
            for (int index = 0; index < c.shape.count; index++) {
                Content content = c.shape.record(index);
                builder.append(content.timestamp, content.key, content.value, content.headers);
            }
        }
        return builder.build().buffer();
    }

    static void write(Path file) throws Exception {
        ByteBuffer all = ByteBuffer.allocate(4 << 20);
        long baseOffset = 0;
        for (Case c : cases()) {
            all.put(build(c, baseOffset));
            baseOffset += 1000;
        }
        Files.write(file, Arrays.copyOf(all.array(), all.position()));
    }

    static void check(Path file) throws Exception {
        MemoryRecords records = MemoryRecords.readableRecords(ByteBuffer.wrap(Files.readAllBytes(file)));
        Iterator<MutableRecordBatch> batches = records.batches().iterator();
        long baseOffset = 0;
        for (Case c : cases()) {
            checkBatch(c, baseOffset, batches.next());
            baseOffset += 1000;
        }
        same("end of file", false, batches.hasNext());
        System.out.println("records: " + cases().size() + " batches of ours read by kafka-clients, all as expected");
    }

    static void checkBatch(Case c, long baseOffset, MutableRecordBatch batch) {
        String at = c + " ";
        MutableRecordBatch own =
                MemoryRecords.readableRecords(build(c, baseOffset)).batches().iterator().next();
        batch.ensureValid();
        same(at + "base offset", own.baseOffset(), batch.baseOffset());
        same(at + "last offset", own.lastOffset(), batch.lastOffset());
        same(at + "leader epoch", own.partitionLeaderEpoch(), batch.partitionLeaderEpoch());
        same(at + "codec", own.compressionType(), batch.compressionType());
        same(at + "timestamp type", own.timestampType(), batch.timestampType());
        same(at + "max timestamp", own.maxTimestamp(), batch.maxTimestamp());
        same(at + "producer id", own.producerId(), batch.producerId());
        same(at + "producer epoch", own.producerEpoch(), batch.producerEpoch());
        same(at + "base sequence", own.baseSequence(), batch.baseSequence());
        same(at + "last sequence", own.lastSequence(), batch.lastSequence());
        same(at + "transactional", own.isTransactional(), batch.isTransactional());
        same(at + "control", own.isControlBatch(), batch.isControlBatch());
        same(at + "count", own.countOrNull(), batch.countOrNull());
        if (c.codec == CompressionType.NONE) {
            same(at + "size", own.sizeInBytes(), batch.sizeInBytes());
        }
        Iterator<Record> actual = batch.iterator();
        for (Record expected : own) {
            same(at + "record", expected, actual.next());
        }
        same(at + "end of batch", false, actual.hasNext());
    }

    static void same(String what, Object expected, Object actual) {
        if (!Objects.equals(expected, actual)) {
            throw new AssertionError(what + ": expected " + expected + ", found " + actual);
        }
    }

    public static void main(String[] args) throws Exception {
        switch (args[0]) {
            case "write" -> write(Path.of(args[1]));
            case "check" -> check(Path.of(args[1]));
            default -> throw new IllegalArgumentException("write FILE or check FILE");
        }
    }
}
