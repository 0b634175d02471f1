// Package interop uses sarama as its users do, against the broker at $BOOTSTRAP.
package interop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
)

func brokers() []string {
	if address := os.Getenv("BOOTSTRAP"); address != "" {
		return []string{address}
	}
	return []string{"127.0.0.1:9092"}
}

// hourAgo is a time that no retention reaches while a test runs.
var hourAgo = time.Now().UnixMilli() - 3_600_000

func fresh(what string) string {
	return fmt.Sprintf("sarama-%s-%08x", what, rand.Uint32())
}

func settings() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.V4_1_0_0
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	return config
}

func admin(t *testing.T) sarama.ClusterAdmin {
	t.Helper()
	client, err := sarama.NewClusterAdmin(brokers(), settings())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func createTopic(t *testing.T, partitions int32, configs map[string]*string) string {
	t.Helper()
	name := fresh("topic")
	detail := &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1, ConfigEntries: configs}
	if err := admin(t).CreateTopic(name, detail, false); err != nil {
		t.Fatal(err)
	}
	await(t, name, func() bool { // the controller answers; the broker knows a moment later
		topics, err := admin(t).DescribeTopics([]string{name})
		return err == nil && len(topics[0].Partitions) == int(partitions)
	})
	return name
}

func produce(t *testing.T, config *sarama.Config, messages ...*sarama.ProducerMessage) error {
	t.Helper()
	producer, err := sarama.NewSyncProducer(brokers(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	return producer.SendMessages(messages)
}

func numbered(name string, from, to, partitions int) []*sarama.ProducerMessage {
	var messages []*sarama.ProducerMessage
	for i := from; i < to; i++ {
		messages = append(messages, &sarama.ProducerMessage{
			Topic: name, Partition: int32(i % partitions), Value: sarama.StringEncoder(fmt.Sprint(i))})
	}
	return messages
}

// read takes `count` messages of partition 0 from an offset on.
func read(t *testing.T, name string, offset int64, count int) []*sarama.ConsumerMessage {
	t.Helper()
	consumer, err := sarama.NewConsumer(brokers(), settings())
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	partition, err := consumer.ConsumePartition(name, 0, offset)
	if err != nil {
		t.Fatal(err)
	}
	defer partition.Close()
	var messages []*sarama.ConsumerMessage
	for timeout := time.After(20 * time.Second); len(messages) < count; {
		select {
		case message := <-partition.Messages():
			messages = append(messages, message)
		case <-timeout:
			t.Fatalf("%d of %d messages", len(messages), count)
		}
	}
	return messages
}

func TestRecordsComeBackAsSent(t *testing.T) {
	for _, codec := range []sarama.CompressionCodec{
		sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD,
	} {
		t.Run(codec.String(), func(t *testing.T) {
			t.Parallel()
			name, config := createTopic(t, 1, nil), settings()
			config.Producer.Compression = codec
			var sent []*sarama.ProducerMessage
			for i := range 300 {
				sent = append(sent, &sarama.ProducerMessage{
					Topic: name, Key: sarama.StringEncoder(fmt.Sprintf("k%d", i)),
					Value:     sarama.ByteEncoder(bytes.Repeat([]byte{byte(i)}, 300)),
					Timestamp: time.UnixMilli(hourAgo + int64(i)),
					Headers:   []sarama.RecordHeader{{Key: []byte("trace"), Value: []byte{0, 255}}},
				})
			}
			sent = append(sent, &sarama.ProducerMessage{Topic: name, Value: sarama.StringEncoder("no key")})
			if err := produce(t, config, sent...); err != nil {
				t.Fatal(err)
			}
			for i, got := range read(t, name, sarama.OffsetOldest, len(sent)) {
				value, _ := sent[i].Value.Encode()
				if got.Offset != int64(i) || !bytes.Equal(got.Value, value) {
					t.Fatalf("offset %d: %v", got.Offset, got.Value)
				}
				if i == 300 {
					if got.Key != nil {
						t.Fatal("a null key")
					}
				} else if string(got.Key) != fmt.Sprintf("k%d", i) || !got.Timestamp.Equal(sent[i].Timestamp) ||
					len(got.Headers) != 1 || !bytes.Equal(got.Headers[0].Value, []byte{0, 255}) {
					t.Fatalf("%+v", got)
				}
			}
		})
	}
}

func TestAKeyKeepsItsPartition(t *testing.T) {
	t.Parallel()
	name, config, homes := createTopic(t, 6, nil), settings(), map[string]int32{}
	config.Producer.Partitioner = sarama.NewHashPartitioner
	for range 2 {
		var messages []*sarama.ProducerMessage
		for i := range 50 {
			messages = append(messages, &sarama.ProducerMessage{Topic: name, Key: sarama.StringEncoder(fmt.Sprint(i))})
		}
		if err := produce(t, config, messages...); err != nil {
			t.Fatal(err)
		}
		for i, message := range messages {
			if home, known := homes[fmt.Sprint(i)]; known && home != message.Partition {
				t.Fatalf("key %d moved from %d to %d", i, home, message.Partition)
			}
			homes[fmt.Sprint(i)] = message.Partition
		}
	}
	seen := map[int32]bool{}
	for _, home := range homes {
		seen[home] = true
	}
	if len(seen) != 6 {
		t.Errorf("50 keys reached only %v", seen)
	}
}

func TestSeekToAnOffsetAndToATime(t *testing.T) {
	t.Parallel()
	name, start := createTopic(t, 1, nil), hourAgo
	messages := numbered(name, 0, 100, 1)
	for i, message := range messages {
		message.Timestamp = time.UnixMilli(start + 1000*int64(i))
	}
	if err := produce(t, settings(), messages...); err != nil {
		t.Fatal(err)
	}
	if got := read(t, name, 95, 1)[0]; string(got.Value) != "95" {
		t.Errorf("offset 95 holds %s", got.Value)
	}
	client, err := sarama.NewClient(brokers(), settings())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for when, want := range map[int64]int64{
		start - 1: 0, start + 41_001: 42, start + 42_000: 42, start + 99_001: -1,
		sarama.OffsetOldest: 0, sarama.OffsetNewest: 100,
	} {
		if got, err := client.GetOffset(name, 0, when); err != nil || got != want {
			t.Errorf("at %d: %d %v, not %d", when, got, err, want)
		}
	}
}

// member consumes in a group until its context ends and says what it owns and reads.
type member struct {
	mutex  sync.Mutex
	owned  []int32
	values []string
}

func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.owned = nil
	for _, partitions := range session.Claims() {
		m.owned = append(m.owned, partitions...)
	}
	return nil
}

func (m *member) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message := <-claim.Messages():
			if message == nil {
				return nil
			}
			m.mutex.Lock()
			m.values = append(m.values, string(message.Value))
			m.mutex.Unlock()
			session.MarkMessage(message, "")
			session.Commit()
		case <-session.Context().Done():
			return nil
		}
	}
}

func (m *member) seen() ([]int32, []string) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return slices.Clone(m.owned), slices.Clone(m.values)
}

// join starts a member; the returned function makes it leave.
func join(t *testing.T, group, name string, strategy sarama.BalanceStrategy) (*member, func()) {
	t.Helper()
	config := settings()
	config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategy}
	config.Consumer.Group.Heartbeat.Interval = 200 * time.Millisecond
	client, err := sarama.NewConsumerGroup(brokers(), group, config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	joined, done := &member{}, make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if err := client.Consume(ctx, []string{name}, joined); err != nil && ctx.Err() == nil {
				t.Errorf("consume: %v", err)
				return
			}
		}
	}()
	return joined, func() {
		cancel()
		<-done
		client.Close()
	}
}

func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

func TestMembersShareLeaveAndResume(t *testing.T) {
	for name, strategy := range map[string]sarama.BalanceStrategy{
		"range": sarama.NewBalanceStrategyRange(), "sticky": sarama.NewBalanceStrategySticky(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			topic, group := createTopic(t, 6, nil), fresh("group")
			var members []*member
			var leave []func()
			for range 3 {
				one, stop := join(t, group, topic, strategy)
				members, leave = append(members, one), append(leave, stop)
			}
			shared := func(among []*member) func() bool {
				return func() bool {
					var all []int32
					for _, one := range among {
						owned, _ := one.seen()
						if len(owned) == 0 {
							return false
						}
						all = append(all, owned...)
					}
					slices.Sort(all)
					return slices.Equal(all, []int32{0, 1, 2, 3, 4, 5})
				}
			}
			read := func() (all []string) {
				for _, one := range members {
					_, values := one.seen()
					all = append(all, values...)
				}
				return all
			}
			await(t, "three share six partitions", shared(members))
			if err := produce(t, settings(), numbered(topic, 0, 60, 6)...); err != nil {
				t.Fatal(err)
			}
			await(t, "all is read", func() bool { return len(read()) == 60 })
			leave[2]()
			await(t, "two share six partitions", shared(members[:2]))
			leave[1]()
			leave[0]()
			if len(read()) != 60 {
				t.Fatal("what was committed was delivered again")
			}

			if err := produce(t, settings(), numbered(topic, 60, 66, 6)...); err != nil {
				t.Fatal(err)
			}
			late, stop := join(t, group, topic, strategy)
			await(t, "the rest is read", func() bool { _, values := late.seen(); return len(values) >= 6 })
			stop()
			_, rest := late.seen()
			if slices.Sort(rest); !slices.Equal(rest, []string{"60", "61", "62", "63", "64", "65"}) {
				t.Fatalf("resumed with %v", rest)
			}
			offsets, err := admin(t).ListConsumerGroupOffsets(group, map[string][]int32{topic: {0}})
			if err != nil || offsets.GetBlock(topic, 0).Offset != 11 {
				t.Fatalf("%+v %v", offsets, err)
			}
		})
	}
}

func TestAnIdempotentProducerWritesOnceAndInOrder(t *testing.T) {
	t.Parallel()
	name, config := createTopic(t, 1, nil), settings()
	config.Producer.Idempotent = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Net.MaxOpenRequests = 1
	config.Producer.Flush.MaxMessages = 100
	if err := produce(t, config, numbered(name, 0, 3000, 1)...); err != nil {
		t.Fatal(err)
	}
	for i, message := range read(t, name, sarama.OffsetOldest, 3000) {
		if string(message.Value) != fmt.Sprint(i) {
			t.Fatalf("offset %d holds %s", i, message.Value)
		}
	}
}

func TestErrorsByClass(t *testing.T) {
	t.Parallel()
	adm, limit := admin(t), "2000"
	name := createTopic(t, 2, map[string]*string{"max.message.bytes": &limit})
	expect := func(what string, got, want error) {
		t.Helper()
		var many sarama.ProducerErrors
		if errors.As(got, &many) {
			got = many[0].Err
		}
		if !errors.Is(got, want) {
			t.Errorf("%s: %v, not %v", what, got, want)
		}
	}
	config := settings()
	config.Metadata.Retry.Max = 0
	config.Metadata.AllowAutoTopicCreation = false
	expect("too large", produce(t, config, &sarama.ProducerMessage{Topic: name, Value: sarama.ByteEncoder(make([]byte, 2100))}), sarama.ErrMessageSizeTooLarge)
	expect("unknown topic", produce(t, config, &sarama.ProducerMessage{Topic: fresh("absent")}), sarama.ErrUnknownTopicOrPartition)
	create := func(name string, partitions int32, replicas int16) error {
		return adm.CreateTopic(name, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: replicas}, false)
	}
	expect("exists", create(name, 1, 1), sarama.ErrTopicAlreadyExists)
	expect("name", create("not/allowed", 1, 1), sarama.ErrInvalidTopic)
	expect("partitions", create(fresh("t"), 0, 1), sarama.ErrInvalidPartitions)
	expect("replicas", create(fresh("t"), 1, 3), sarama.ErrInvalidReplicationFactor)
	consumer, err := sarama.NewConsumer(brokers(), settings())
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	_, err = consumer.ConsumePartition(name, 0, 1000)
	expect("out of range", err, sarama.ErrOffsetOutOfRange)
	expect("unknown group", adm.DeleteConsumerGroup(fresh("group")), sarama.ErrGroupIDNotFound)
}

func TestAdmin(t *testing.T) {
	t.Parallel()
	adm, name := admin(t), createTopic(t, 1, nil)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(adm.CreatePartitions(name, 3, nil, false))
	value := "1234"
	must(adm.IncrementalAlterConfig(sarama.TopicResource, name, map[string]sarama.IncrementalAlterConfigsEntry{
		"retention.ms": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value}}, false))
	await(t, "the new setting", func() bool {
		configs, err := adm.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: name, ConfigNames: []string{"retention.ms"}})
		must(err)
		return len(configs) == 1 && configs[0].Value == "1234" && configs[0].Source == sarama.SourceTopic
	})
	must(adm.AlterConfig(sarama.TopicResource, name, map[string]*string{"segment.ms": &value}, false))
	await(t, "the whole set is replaced", func() bool {
		topics, err := adm.ListTopics()
		must(err)
		entries := topics[name].ConfigEntries
		return topics[name].NumPartitions == 3 && entries["retention.ms"] == nil && entries["segment.ms"] != nil
	})
	must(produce(t, settings(), numbered(name, 0, 30, 3)...))
	must(adm.DeleteRecords(name, map[int32]int64{0: 4}))
	if first := read(t, name, sarama.OffsetOldest, 1)[0]; first.Offset != 4 || string(first.Value) != "12" {
		t.Errorf("%+v", first)
	}
	nodes, controller, err := adm.DescribeCluster()
	must(err)
	if len(nodes) != 1 || nodes[0].ID() != controller {
		t.Errorf("%v %d", nodes, controller)
	}
	dirs, err := adm.DescribeLogDirs([]int32{controller})
	must(err)
	if len(dirs[controller]) != 1 {
		t.Errorf("%+v", dirs)
	}
	must(adm.DeleteTopic(name))
}

func TestBigRecordsAutoCreationAndEmptyTopics(t *testing.T) {
	t.Parallel()
	name, big := fresh("auto"), sarama.ByteEncoder(make([]byte, 1_000_000))
	config := settings()
	config.Producer.MaxMessageBytes = 1_040_000
	must := produce(t, config, &sarama.ProducerMessage{Topic: name, Value: big}, &sarama.ProducerMessage{Topic: name, Value: big})
	if must != nil {
		t.Fatal(must)
	}
	for _, message := range read(t, name, sarama.OffsetOldest, 2) {
		if len(message.Value) != len(big) {
			t.Fatal(len(message.Value))
		}
	}
	consumer, err := sarama.NewConsumer(brokers(), settings())
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	partition, err := consumer.ConsumePartition(createTopic(t, 1, nil), 0, sarama.OffsetOldest)
	if err != nil {
		t.Fatal(err)
	}
	defer partition.Close()
	select {
	case message := <-partition.Messages():
		t.Fatalf("an empty topic holds %v", message)
	case <-time.After(500 * time.Millisecond):
	}
	if mark := partition.HighWaterMarkOffset(); mark != 0 {
		t.Errorf("its high watermark is %d", mark)
	}
}
