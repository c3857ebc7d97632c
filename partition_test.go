package foz

// How: murmur2 against the vectors of Kafka's own test, org.apache.kafka.common.utils.
// UtilsTest.testMurmur2, so that a key lies in the same partition as it would there.

import "testing"

func TestMurmur2(t *testing.T) {
	for key, want := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		if got := int32(murmur2([]byte(key))); got != want {
			t.Errorf("murmur2(%q) = %d, want %d", key, got, want)
		}
	}
}

func TestPartitionOf(t *testing.T) {
	for _, c := range []struct {
		key        string
		partitions int32
		want       int32
	}{
		// Utils.toPositive clears the sign bit: -973932308 & 0x7fffffff = 1173551340.
		{"21", 10, 1173551340 % 10},
		{"21", 7, 1173551340 % 7},
		{"abc", 1000, 107},
		{"abc", 1, 0},
		{"", 1, 0},
	} {
		if got := PartitionOf([]byte(c.key), c.partitions); got != c.want {
			t.Errorf("PartitionOf(%q, %d) = %d, want %d", c.key, c.partitions, got, c.want)
		}
	}
}

func FuzzPartitionOf(f *testing.F) {
	f.Add([]byte("key"), int32(8))
	f.Fuzz(func(t *testing.T, key []byte, partitions int32) {
		if partitions <= 0 {
			return
		}
		if p := PartitionOf(key, partitions); p < 0 || p >= partitions {
			t.Errorf("partition %d of %d", p, partitions)
		}
	})
}
