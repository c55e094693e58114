package corpus

// Count is a number of documents and bytes under a name.
type Count struct {
	Name      string `json:"name"`
	Documents int64  `json:"documents"`
	Bytes     int64  `json:"bytes"`
}
