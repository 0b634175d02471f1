// Package interop uses franz-go as its users do, against the broker at $BOOTSTRAP.
package interop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func bootstrap() string {
	if address := os.Getenv("BOOTSTRAP"); address != "" {
		return address
	}
	return "127.0.0.1:9092"
}

// hourAgo is a time that no retention reaches while a test runs.
var hourAgo = time.Now().UnixMilli() - 3_600_000

func fresh(what string) string {
	return fmt.Sprintf("franz-%s-%08x", what, rand.Uint32())
}

func within(t *testing.T, limit time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

func connect(t *testing.T, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(bootstrap())}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func admin(t *testing.T) *kadm.Client {
	return kadm.NewClient(connect(t))
}

func createTopic(t *testing.T, partitions int32, configs map[string]*string) string {
	t.Helper()
	name := fresh("topic")
	if _, err := admin(t).CreateTopic(within(t, 10*time.Second), partitions, 1, configs, name); err != nil {
		t.Fatal(err)
	}
	eventually(t, name, func() bool {
		topics, err := admin(t).ListTopics(within(t, 10*time.Second), name)
		return err == nil && len(topics[name].Partitions) == int(partitions)
	})
	return name
}

// eventually waits for what the controller has answered and the broker knows a moment later.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

func produce(t *testing.T, records []*kgo.Record, options ...kgo.Opt) {
	t.Helper()
	if err := connect(t, options...).ProduceSync(within(t, 20*time.Second), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// read polls until `count` records have come.
func read(t *testing.T, client *kgo.Client, count int) []*kgo.Record {
	t.Helper()
	ctx := within(t, 30*time.Second)
	var records []*kgo.Record
	for len(records) < count {
		fetches := client.PollFetches(ctx)
		if errs := fetches.Errors(); len(errs) > 0 {
			t.Fatalf("%d of %d records: %v", len(records), count, errs)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

func fromStart(name string) []kgo.Opt {
	return []kgo.Opt{kgo.ConsumeTopics(name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}
}

func numbered(name string, from, to, partitions int) []*kgo.Record {
	var records []*kgo.Record
	for i := from; i < to; i++ {
		records = append(records, &kgo.Record{Topic: name, Partition: int32(i % partitions), Value: fmt.Append(nil, i)})
	}
	return records
}

func values(records []*kgo.Record) []string {
	var all []string
	for _, record := range records {
		all = append(all, string(record.Value))
	}
	return all
}

func TestRecordsComeBackAsSent(t *testing.T) {
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	for codec, option := range codecs {
		t.Run(codec, func(t *testing.T) {
			t.Parallel()
			name := createTopic(t, 1, nil)
			var sent []*kgo.Record
			for i := range 300 {
				sent = append(sent, &kgo.Record{
					Topic: name, Key: fmt.Appendf(nil, "k%d", i), Value: bytes.Repeat([]byte{byte(i)}, 300),
					Timestamp: time.UnixMilli(hourAgo + int64(i)),
					Headers:   []kgo.RecordHeader{{Key: "trace", Value: []byte{0, 255}}, {Key: "trace", Value: nil}},
				})
			}
			sent = append(sent, &kgo.Record{Topic: name, Value: []byte("no key")}, &kgo.Record{Topic: name, Key: []byte("no value")})
			produce(t, sent, kgo.ProducerBatchCompression(option))
			for i, got := range read(t, connect(t, fromStart(name)...), len(sent)) {
				want := sent[i]
				if got.Offset != int64(i) || !bytes.Equal(got.Key, want.Key) || !bytes.Equal(got.Value, want.Value) ||
					(got.Key == nil) != (want.Key == nil) || (got.Value == nil) != (want.Value == nil) {
					t.Fatalf("record %d: %+v, want %+v", i, got, want)
				}
				if i < 300 && (!got.Timestamp.Equal(want.Timestamp) || len(got.Headers) != 2 || got.Headers[1].Value != nil) {
					t.Fatalf("record %d: %v %v", i, got.Timestamp, got.Headers)
				}
			}
		})
	}
}

func TestKeysKeepTheirPartitionAndSpread(t *testing.T) {
	t.Parallel()
	name := createTopic(t, 6, nil)
	var records []*kgo.Record
	for i := range 50 {
		records = append(records, &kgo.Record{Topic: name, Key: fmt.Appendf(nil, "key-%d", i)})
	}
	produce(t, records)
	seen := map[int32]bool{}
	for i, record := range records {
		seen[record.Partition] = true
		if want := []int32{1, 0, 2, 5}; i < len(want) && record.Partition != want[i] {
			t.Errorf("key-%d went to partition %d, Java sends it to %d", i, record.Partition, want[i])
		}
	}
	if len(seen) != 6 {
		t.Errorf("50 keys reached only partitions %v", seen)
	}
}

func TestSeekToAnOffsetAndToATime(t *testing.T) {
	t.Parallel()
	name, start := createTopic(t, 1, nil), hourAgo
	records := numbered(name, 0, 100, 1)
	for i, record := range records {
		record.Timestamp = time.UnixMilli(start + 1000*int64(i))
	}
	produce(t, records)
	for what, offset := range map[string]kgo.Offset{
		"95": kgo.NewOffset().At(95),
		"98": kgo.NewOffset().AtEnd().Relative(-2),
		"42": kgo.NewOffset().AfterMilli(start + 41_001),
		"0":  kgo.NewOffset().AtStart(),
	} {
		client := connect(t, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{name: {0: offset}}))
		if got := string(read(t, client, 1)[0].Value); got != what {
			t.Errorf("%v leads to %s, not %s", offset, got, what)
		}
	}
	offsets, err := admin(t).ListOffsetsAfterMilli(within(t, 10*time.Second), start+99_001, name)
	if found, _ := offsets.Lookup(name, 0); err != nil || found.Offset != 100 {
		t.Errorf("nothing is that young, so the end: %+v %v", found, err)
	}
}

// shares asks the coordinator who owns what, once the group is stable with `members` members.
func shares(t *testing.T, group, topic string, members int) map[string][]int32 {
	t.Helper()
	ctx := within(t, 30*time.Second)
	for {
		described, err := admin(t).DescribeGroups(ctx, group)
		if err != nil {
			t.Fatal(err)
		}
		owned := map[string][]int32{}
		for _, member := range described[group].Members {
			if assigned, ok := member.Assigned.AsConsumer(); ok {
				for _, topics := range assigned.Topics {
					owned[member.MemberID] = append(owned[member.MemberID], topics.Partitions...)
				}
			}
		}
		var all []int32
		for _, partitions := range owned {
			all = append(all, partitions...)
		}
		slices.Sort(all)
		if described[group].State == "Stable" && len(owned) == members && slices.Equal(all, []int32{0, 1, 2, 3, 4, 5}) {
			return owned
		}
	}
}

func TestMembersShareLeaveAndResume(t *testing.T) {
	balancers := map[string]kgo.GroupBalancer{
		"range": kgo.RangeBalancer(), "sticky": kgo.StickyBalancer(), "cooperative-sticky": kgo.CooperativeStickyBalancer(),
	}
	for strategy, balancer := range balancers {
		t.Run(strategy, func(t *testing.T) {
			t.Parallel()
			name, group := createTopic(t, 6, nil), fresh("group")
			options := append(fromStart(name), kgo.ConsumerGroup(group), kgo.Balancers(balancer),
				kgo.DisableAutoCommit(), kgo.HeartbeatInterval(200*time.Millisecond))
			var members []*kgo.Client
			for range 3 {
				members = append(members, connect(t, options...))
			}
			shares(t, group, name, 3)
			produce(t, numbered(name, 0, 60, 6), kgo.RecordPartitioner(kgo.ManualPartitioner()))
			ctx := within(t, 30*time.Second)
			var got []string
			for i := 0; len(got) < 60; i++ {
				short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
				records := members[i%3].PollFetches(short).Records()
				cancel()
				got = append(got, values(records)...)
				if err := members[i%3].CommitRecords(ctx, records...); err != nil {
					t.Fatal(err)
				}
			}
			slices.Sort(got)
			if len(slices.Compact(got)) != 60 {
				t.Fatal("every record came once")
			}

			members[2].Close()
			shares(t, group, name, 2)
			members[1].Close()
			members[0].Close()
			produce(t, numbered(name, 60, 66, 6), kgo.RecordPartitioner(kgo.ManualPartitioner()))
			late := connect(t, options...)
			rest := values(read(t, late, 6))
			if slices.Sort(rest); !slices.Equal(rest, []string{"60", "61", "62", "63", "64", "65"}) {
				t.Fatalf("resumed with %v", rest)
			}
		})
	}
}

func TestStaticMembers(t *testing.T) {
	t.Parallel()
	name, group := createTopic(t, 6, nil), fresh("group")
	options := append(fromStart(name), kgo.ConsumerGroup(group), kgo.InstanceID("one"), kgo.HeartbeatInterval(200*time.Millisecond))
	elder := connect(t, options...)
	before := shares(t, group, name, 1)
	younger := connect(t, options...)
	ctx := within(t, 20*time.Second)
	for {
		if err := elder.PollFetches(ctx).Err(); errors.Is(err, kerr.FencedInstanceID) {
			break
		} else if ctx.Err() != nil {
			t.Fatalf("the elder was not fenced: %v", err)
		}
	}
	after := shares(t, group, name, 1)
	for member := range before {
		if _, same := after[member]; same {
			t.Error("the younger has a member id of its own")
		}
	}
	elder.CloseAllowingRebalance()
	younger.CloseAllowingRebalance()
	if _, err := admin(t).LeaveGroup(ctx, kadm.LeaveGroup(group).InstanceIDs("one")); err != nil {
		t.Fatal(err)
	}
	if described, _ := admin(t).DescribeGroups(ctx, group); described[group].State != "Empty" {
		t.Errorf("the removed member is gone, but the group is %s", described[group].State)
	}
}

func TestAnIdempotentProducerWritesOnceAndInOrder(t *testing.T) {
	t.Parallel()
	name := createTopic(t, 1, nil)
	produce(t, numbered(name, 0, 5000, 1), kgo.ProducerBatchMaxBytes(2000))
	for i, record := range read(t, connect(t, fromStart(name)...), 5000) {
		if string(record.Value) != fmt.Sprint(i) || record.ProducerID < 0 {
			t.Fatalf("offset %d holds %s of producer %d", i, record.Value, record.ProducerID)
		}
	}
	producers, err := admin(t).DescribeProducers(within(t, 10*time.Second), kadm.TopicsSet{name: {0: {}}})
	if err != nil || len(producers.SortedProducers()) != 1 {
		t.Fatalf("%+v %v", producers, err)
	}
	if state := producers.SortedProducers()[0]; state.LastSequence != 4999 {
		t.Errorf("%+v", state)
	}
}

func TestErrorsByClass(t *testing.T) {
	t.Parallel()
	ctx, adm := within(t, 30*time.Second), admin(t)
	name := createTopic(t, 2, map[string]*string{"max.message.bytes": kadm.StringPtr("2000")})
	client := connect(t, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.UnknownTopicRetries(1),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
	expect := func(what string, got, want error) {
		t.Helper()
		if !errors.Is(got, want) {
			t.Errorf("%s: %v, not %v", what, got, want)
		}
	}
	expect("too large", client.ProduceSync(ctx, &kgo.Record{Topic: name, Value: make([]byte, 2100)}).FirstErr(), kerr.MessageTooLarge)
	expect("unknown topic", client.ProduceSync(ctx, &kgo.Record{Topic: fresh("absent")}).FirstErr(), kerr.UnknownTopicOrPartition)
	create := func(name string, partitions int32, replicas int16, configs map[string]*string) error {
		_, err := adm.CreateTopic(ctx, partitions, replicas, configs, name)
		return err
	}
	expect("exists", create(name, 1, 1, nil), kerr.TopicAlreadyExists)
	expect("name", create("not/allowed", 1, 1, nil), kerr.InvalidTopicException)
	expect("long name", create(strings.Repeat("x", 250), 1, 1, nil), kerr.InvalidTopicException)
	expect("collision", create(strings.ReplaceAll(name, "-", "_")+".a", 1, 1, nil), nil)
	expect("collision", create(strings.ReplaceAll(name, "-", "_")+"_a", 1, 1, nil), kerr.InvalidTopicException)
	expect("partitions", create(fresh("t"), 0, 1, nil), kerr.InvalidPartitions)
	expect("replicas", create(fresh("t"), 1, 3, nil), kerr.InvalidReplicationFactor)
	expect("config", create(fresh("t"), 1, 1, map[string]*string{"retention.ms": kadm.StringPtr("soon")}), kerr.InvalidConfig)
	fewer, err := adm.UpdatePartitions(ctx, 1, name)
	expect("fewer partitions", errors.Join(err, fewer.Error()), kerr.InvalidPartitions)

	reader := connect(t, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{name: {0: kgo.NewOffset().At(1000)}}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	expect("out of range", reader.PollFetches(ctx).Err(), kerr.OffsetOutOfRange)
}

func TestAdmin(t *testing.T) {
	t.Parallel()
	ctx, adm := within(t, 30*time.Second), admin(t)
	name := createTopic(t, 1, nil)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	metadata, err := adm.Metadata(ctx, name)
	must(err)
	if len(metadata.Brokers) != 1 || metadata.Cluster == "" || len(metadata.Topics[name].Partitions) != 1 {
		t.Errorf("%+v", metadata)
	}
	value := func(key string) string {
		configs, err := adm.DescribeTopicConfigs(ctx, name)
		must(err)
		for _, config := range configs[0].Configs {
			if config.Key == key {
				return config.MaybeValue()
			}
		}
		return "no such key"
	}
	alter := func(op kadm.IncrementalOp, key, to string) {
		answers, err := adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: op, Name: key, Value: &to}}, name)
		must(errors.Join(err, answers[0].Err))
	}
	alter(kadm.AppendConfig, "cleanup.policy", "compact")
	eventually(t, "the appended policy", func() bool { return value("cleanup.policy") == "delete,compact" })
	alter(kadm.DeleteConfig, "cleanup.policy", "")
	alter(kadm.SetConfig, "retention.ms", "1234")
	eventually(t, "both settings", func() bool { return value("cleanup.policy")+" "+value("retention.ms") == "delete 1234" })

	produce(t, numbered(name, 0, 10, 1))
	_, err = adm.DeleteRecords(ctx, kadm.Offsets{name: {0: {Topic: name, At: 4}}})
	must(err)
	starts, err := adm.ListStartOffsets(ctx, name)
	must(err)
	ends, err := adm.ListEndOffsets(ctx, name)
	must(err)
	if starts[name][0].Offset != 4 || ends[name][0].Offset != 10 {
		t.Errorf("%v %v", starts, ends)
	}
	dirs, err := adm.DescribeAllLogDirs(ctx, kadm.TopicsSet{name: {0: {}}})
	must(err)
	if dirs.Sorted()[0].Topics[name][0].Size < 70 {
		t.Errorf("%+v", dirs.Sorted())
	}

	group := fresh("group")
	offsets := kadm.Offsets{name: {0: {Topic: name, Partition: 0, At: 6, LeaderEpoch: -1, Metadata: "why"}}}
	must(adm.CommitAllOffsets(ctx, group, offsets))
	fetched, err := adm.FetchOffsets(ctx, group)
	must(err)
	if got, _ := fetched.Lookup(name, 0); got.At != 6 || got.Metadata != "why" {
		t.Errorf("%+v", got)
	}
	lag, err := adm.Lag(ctx, group)
	must(err)
	if lag[group].Lag.Total() != 4 || lag[group].State != "Empty" {
		t.Errorf("%+v", lag[group])
	}
	deleted, err := adm.DeleteGroups(ctx, group)
	must(errors.Join(err, deleted[group].Err))
	deleted, _ = adm.DeleteGroups(ctx, group)
	if !errors.Is(deleted[group].Err, kerr.GroupIDNotFound) {
		t.Error(deleted[group].Err)
	}
	topics, err := adm.DeleteTopics(ctx, name)
	must(errors.Join(err, topics.Error()))
}

func TestBigRecordsAutoCreationAndEmptyTopics(t *testing.T) {
	t.Parallel()
	name := fresh("auto")
	big := &kgo.Record{Topic: name, Value: make([]byte, 990_000)}
	produce(t, []*kgo.Record{big, {Topic: name, Value: make([]byte, 990_000)}}, kgo.AllowAutoTopicCreation(), kgo.ProducerBatchCompression(kgo.NoCompression()))
	for _, record := range read(t, connect(t, append(fromStart(name), kgo.FetchMaxPartitionBytes(1000))...), 2) {
		if len(record.Value) != 990_000 {
			t.Fatal(len(record.Value))
		}
	}
	short, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	fetches := connect(t, fromStart(createTopic(t, 1, nil))...).PollFetches(short)
	if !errors.Is(fetches.Err0(), context.DeadlineExceeded) || fetches.NumRecords() != 0 {
		t.Errorf("an empty topic: %v", fetches.Errors())
	}
}
