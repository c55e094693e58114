package corpus

func (r *Report) page() ([]byte, error) { return []byte("x"), nil }
