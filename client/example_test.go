package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/client"
)

// Produce each record once, however often the network fails.
func ExampleProducer() {
	ctx := context.Background()
	c, err := client.New(client.Options{URL: "http://127.0.0.1:7080"})
	if err != nil {
		log.Fatal(err)
	}
	producer := c.NewProducer("flights", "", 0)
	ack, err := producer.Produce(ctx, []client.Record{{
		Record:    foz.Record{Key: []byte("LIS"), Value: []byte(`{"delay":7}`)},
		Partition: client.AnyPartition,
	}}, client.ProduceOptions{})
	for errors.Is(err, client.ErrUnknown) {
		ack, err = producer.Settle(ctx) // ask until it is known
	}
	if err != nil {
		log.Fatal(err) // refused: nothing is stored
	}
	fmt.Println(ack.Partitions[0].StartOffset)
}

// Read what there is, then what comes.
func ExampleClient_Follow() {
	ctx := context.Background()
	c, err := client.New(client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	all := client.Read{Topic: "flights", Partition: client.AllPartitions}
	for record, err := range c.Scan(ctx, all) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(record.Partition, record.Offset, string(record.Value))
	}
	for event, err := range c.Follow(ctx, all, "") {
		if err != nil {
			log.Fatal(err)
		}
		if record, err := event.Record(); err == nil {
			fmt.Println(record.Partition, record.Offset, event.ID)
		}
	}
}
