package metadata

import (
	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata/logpb"
)

func swapToWire(s foz.Swap) *logpb.Swap {
	w := &logpb.Swap{Object: s.Object}
	segments := make([]foz.Segment, len(s.Outputs))
	index := map[string]uint32{}
	for i, o := range s.Outputs {
		segments[i] = o.Segment
		w.Base, w.Next = append(w.Base, o.Range.Base), append(w.Next, o.Range.Next)
		w.Inputs = append(w.Inputs, uint32(len(o.Inputs)))
		for _, in := range o.Inputs {
			at, ok := index[in.Object]
			if !ok {
				at = uint32(len(index))
				index[in.Object] = at
				w.Objects = append(w.Objects, in.Object)
			}
			w.InputObject = append(w.InputObject, at)
			w.InputBase = append(w.InputBase, in.Range.Base)
			w.InputNext = append(w.InputNext, in.Range.Next)
		}
	}
	w.Segments = segmentColumns(segments)
	return w
}

// DecodeSwap reads a swap as it lies in the log. Errors: its columns do not fit together.
func DecodeSwap(w *logpb.Swap) (foz.Swap, error) {
	segments, err := segmentRows(w.Segments)
	n, inputs := len(segments), make([]foz.SwapInput, len(w.InputObject))
	if err != nil || len(w.Base) != n || len(w.Next) != n || len(w.Inputs) != n ||
		len(w.InputBase) != len(inputs) || len(w.InputNext) != len(inputs) {
		return foz.Swap{}, errColumns
	}
	for i, at := range w.InputObject {
		if int(at) >= len(w.Objects) {
			return foz.Swap{}, errColumns
		}
		inputs[i] = foz.SwapInput{
			Object: w.Objects[at], Range: foz.Range{Base: w.InputBase[i], Next: w.InputNext[i]},
		}
	}
	s := foz.Swap{Object: w.Object, Outputs: make([]foz.SwapOutput, n)}
	for i, segment := range segments {
		count := int(w.Inputs[i])
		if count > len(inputs) {
			return foz.Swap{}, errColumns
		}
		s.Outputs[i] = foz.SwapOutput{
			Segment: segment, Range: foz.Range{Base: w.Base[i], Next: w.Next[i]},
			Inputs: inputs[:count:count],
		}
		inputs = inputs[count:]
	}
	if len(inputs) > 0 {
		return foz.Swap{}, errColumns
	}
	return s, nil
}
