package main

// report is what "quorate bench SCENARIO --json" prints, of all scenarios: what
// the document tells of it.
type report struct {
	Scenario string `json:"scenario"`
	Commit   string `json:"commit"`
	Began    string `json:"began"`
	Machine  struct {
		Cores  int    `json:"cores"`
		CPU    string `json:"cpu"`
		Kernel string `json:"kernel"`
		Go     string `json:"go"`
	} `json:"machine"`
	Probe *latency `json:"fsync_probe_ms"`

	figures
	fanout
	sessions

	Saturation float64       `json:"saturation_per_s"`
	Steps      []searchStep  `json:"steps"`
	Reads      []historyRead `json:"reads"`
}

// figures are what came of one load.
type figures struct {
	Offered   float64 `json:"offered_per_s"`
	Completed float64 `json:"completed_per_s"`
	OverLimit uint64  `json:"over_limit"`
	Failed    uint64  `json:"errors"`
	Latency   latency `json:"latency_ms"`
	ServerCPU float64 `json:"server_cpu_us_per_message"`
	Cores     float64 `json:"server_cores"`
	DiskBytes float64 `json:"disk_bytes_per_payload_byte"`
	Sync      latency `json:"sync_ms"`
	Seconds   float64 `json:"seconds"`
}

// fanout is what it has more.
type fanout struct {
	Members     int     `json:"members"`
	Groups      int     `json:"groups"`
	Deliveries  float64 `json:"deliveries_per_s"`
	Delivery    latency `json:"delivery_ms"`
	Missing     uint64  `json:"missing"`
	DeliveryCPU float64 `json:"server_cpu_us_per_delivery"`
}

// sessions is what the bench of connections has, and the number of a fanout's.
type sessions struct {
	Sessions    int     `json:"sessions"`
	OpenSeconds float64 `json:"open_s"`
	IdleCores   float64 `json:"idle_cores"`
	PerSession  struct {
		RSS        float64 `json:"rss_bytes"`
		Anonymous  float64 `json:"anon_bytes"`
		Heap       float64 `json:"heap_bytes"`
		Goroutines float64 `json:"goroutines"`
	} `json:"per_session"`
}

// searchStep is one step of a search for the highest rate.
type searchStep struct {
	Offered   float64 `json:"offered_per_s"`
	Completed float64 `json:"completed_per_s"`
	Latency   latency `json:"latency_ms"`
	Why       string  `json:"failed"`
}

// historyRead is one way of reading history.
type historyRead struct {
	By    string `json:"by"`
	Cache string `json:"cache"`
	figures

	Read float64 `json:"messages_per_s"`
}
