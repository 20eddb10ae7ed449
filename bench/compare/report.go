package main

// report is what "quorate bench SCENARIO --json" prints, of all scenarios: as
// much as the document tells of it.
type report struct {
	Commit  string `json:"commit"`
	Machine struct {
		Cores  int    `json:"cores"`
		CPU    string `json:"cpu"`
		Kernel string `json:"kernel"`
		Go     string `json:"go"`
	} `json:"machine"`

	figures
	fanout
	sessions
	failover

	Reads       []historyRead `json:"reads"`
	Alone       []loginAlone  `json:"alone"`
	Crowd       *loginCrowd   `json:"crowd"`
	Comparisons []comparedTwo `json:"comparisons"`
}

// figures are what came of one load.
type figures struct {
	Offered   float64 `json:"offered_per_s"`
	Completed float64 `json:"completed_per_s"`
	OverLimit uint64  `json:"over_limit"`
	Failed    uint64  `json:"errors"`
	Latency   latency `json:"latency_ms"`
	ServerCPU float64 `json:"server_cpu_us_per_message"`
	DiskBytes float64 `json:"disk_bytes_per_payload_byte"`
	Sync      latency `json:"sync_ms"`
}

// fanout is what a bench of groups has more.
type fanout struct {
	Members     int     `json:"members"`
	Groups      int     `json:"groups"`
	Deliveries  float64 `json:"deliveries_per_s"`
	Delivery    latency `json:"delivery_ms"`
	Missing     uint64  `json:"missing"`
	DeliveryCPU float64 `json:"server_cpu_us_per_delivery"`
}

// sessions is what the bench of connections has; the number of them a fan-out
// has too.
type sessions struct {
	Sessions    int     `json:"sessions"`
	OpenSeconds float64 `json:"open_s"`
	IdleCores   float64 `json:"idle_cores"`
	PerSession  struct {
		RSS        float64 `json:"rss_bytes"`
		Heap       float64 `json:"heap_bytes"`
		Goroutines float64 `json:"goroutines"`
	} `json:"per_session"`
}

// failover is what the bench of a killed node has.
type failover struct {
	Conversations int     `json:"conversations"`
	Longest       float64 `json:"longest_without_success_ms"`
	Again         latency `json:"again_ms"`
	Silent        int     `json:"silent"`
	Acknowledged  int     `json:"acknowledged"`
	Lost          int     `json:"lost"`
	Twice         int     `json:"twice"`
	Unordered     int     `json:"unordered"`
}

// historyRead is one way of reading history.
type historyRead struct {
	figures

	By    string  `json:"by"`
	Cache string  `json:"cache"`
	Read  float64 `json:"messages_per_s"`
}

// loginAlone is a session that opens while no other does.
type loginAlone struct {
	Conversations int     `json:"conversations"`
	SignIn        latency `json:"sign_in_ms"`
	Latency       latency `json:"latency_ms"`
	ServerCPU     float64 `json:"server_cpu_us_per_login"`
}

// loginCrowd is all sessions at once.
type loginCrowd struct {
	figures

	Sessions      int     `json:"sessions"`
	Conversations int     `json:"conversations"`
	Missed        int     `json:"missed"`
	Took          float64 `json:"took_s"`
}

// comparedTwo is what a send costs in a small world and in a large one.
type comparedTwo struct {
	Of    string  `json:"of"`
	Small world   `json:"small"`
	Large world   `json:"large"`
	Ratio float64 `json:"ratio"`
}

type world struct {
	Size      int     `json:"size"`
	ServerCPU float64 `json:"server_cpu_us_per_message"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	DiskBytes float64 `json:"disk_bytes_per_payload_byte"`
}
