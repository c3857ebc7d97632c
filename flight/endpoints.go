package flight

import (
	"net/url"
	"strconv"
)

// endpoints are tickets that tile what the partitions hold, each for about as many bytes. They
// meet where segments do, so that no two read the same.
func (s *Service) endpoints(c *call, t ticket, parts []bounds) (tickets []ticket, err error) {
	total := int64(0)
	for _, part := range parts {
		total += part.Bytes
	}
	size := max(s.config.EndpointBytes, total/s.config.EndpointsMax)
	for _, part := range parts {
		if part.Earliest == part.Next {
			continue
		}
		cuts, err := s.cuts(c, t.topic, part, size)
		if err != nil {
			return nil, err
		}
		for i, from := range cuts {
			to := part.Next
			if i+1 < len(cuts) {
				to = cuts[i+1]
			}
			tickets = append(tickets, t.of(part.Partition, url.Values{
				"offset":     {strconv.FormatInt(from, 10)},
				"end_offset": {strconv.FormatInt(to, 10)},
			}))
		}
	}
	return tickets, nil
}

// plan is a page of the contract's read plan.
type plan struct {
	Segments []struct {
		ByteStart int64 `json:"byte_start"`
		ByteEnd   int64 `json:"byte_end"`
		EndOffset int64 `json:"end_offset"`
	}
	NextOffset int64 `json:"next_offset"`
	HasMore    bool  `json:"has_more"`
}

// cuts are the offsets at which a partition's endpoints begin: the first, and ends of segments.
func (s *Service) cuts(c *call, topic string, part bounds, size int64) ([]int64, error) {
	cuts := []int64{part.Earliest}
	target := "/v1/topics/" + topic + "/partitions/" + strconv.Itoa(int(part.Partition)) + "/segments?"
	behind := int64(0) // bytes since the last cut
	for from := part.Earliest; part.Bytes > size; {
		page := plan{}
		query := url.Values{"limit": {"10000"}, "from": {strconv.FormatInt(from, 10)},
			"to": {strconv.FormatInt(part.Next, 10)}}
		if err := s.ask(c, target+query.Encode(), &page); err != nil {
			return nil, err
		}
		for _, segment := range page.Segments {
			behind += segment.ByteEnd - segment.ByteStart
			inside := segment.EndOffset > cuts[len(cuts)-1] && segment.EndOffset < part.Next
			if behind >= size && inside {
				cuts, behind = append(cuts, segment.EndOffset), 0
			}
		}
		if !page.HasMore || page.NextOffset <= from {
			break
		}
		from = page.NextOffset
	}
	return cuts, nil
}
