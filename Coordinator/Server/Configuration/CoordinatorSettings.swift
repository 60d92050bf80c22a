import CoordinatorAPI
import CoordinatorCore

extension CoordinatorSetting {
  /// Every setting, in the order in which they are shown. What a value means to the code is said
  /// where it is kept; here it is said for operators.
  package static let all: [CoordinatorSetting] = 
    server + scheduling + verification + limits + storage

  private static let seconds = 1...31_536_000
  private static let counts = 1...1_000_000_000
  private static let factors = 1.0...1000.0

  private static let server: [CoordinatorSetting] = [
    .init(
      "data_folder", "The folder of database, blobs and authority; made if it is missing.",
      .text(\.dataPath)),
    .init("host", "The address to listen on; 0.0.0.0 for all.", .text(\.host)),
    .init("port", "The port to listen on; 0 takes a free one.", .integer(\.port, 0...65535)),
    .init(
      "public_url",
      "How clients and workers reach it, https://HOST:PORT; null: localhost and the port.",
      .optionalText(\.publicURL)),
    .init(
      "host_names", "Names and addresses in the certificate that it issues to itself.",
      .list(\.hostNames)),
    .init(
      "certificate",
      "The file of a certificate chain (PEM) of your own, taken up when it changes; null: it "
        + "issues one.",
      .optionalText(\.certificate)),
    .init(
      "certificate_key", "The file of the key (PEM) of `certificate`.",
      .optionalText(\.certificateKey)),
    .init(
      "replay_threads",
      "Threads for replaying units on which workers disagree, and for audits, at most as many as "
        + "the machine gives; 0 leaves that to another process.",
      .integer(\.replayThreads, 0...1024)),
    .init(
      "validations_at_once", "Batches that are validated side by side.",
      .integer(\.validationsAtOnce, 1...64)),
    .init(
      "tick_seconds", "Seconds between looks at what is due: leases, batches, files.",
      .integer(\.tickSeconds, 1...3600)),
    .init(
      "poll_seconds", "Seconds before a background service looks for what other processes left.",
      .integer(\.pollSeconds, 1...3600)),
    .init(
      "statistics_seconds",
      "Seconds between two writings of BOINC's statistics files; 0 writes none.",
      .integer(\.statisticsSeconds, 0...31_536_000)),
    .init(
      "dashboard",
      "Whether the pages for people are served: /, /jobs, /models, /leaderboard and so on.",
      .flag(\.dashboard)),
    .init(
      "live_pages",
      "Open pages that are kept up to date at once; others show what was true when they were "
        + "loaded.",
      .integer(\.livePages, 0...100_000)),
    .init(
      "live_pages_per_address", "Such pages of one address (of IPv6, one network of 64 bits).",
      .integer(\.livePagesPerAddress, 0...100_000)),
    .init(
      "connections",
      "Connections at once; later ones wait. Half the file descriptors that the system allows are "
        + "the most.",
      .integer(\.connections.connections, 16...1_000_000)),
    .init(
      "connections_per_address",
      "Connections at once from one address (of IPv6, one network of 64 bits); more are closed. A "
        + "worker needs up to 4, and all that share one router share an address. At most half of "
        + "all connections.",
      .integer(\.connections.connectionsPerAddress, 8...1_000_000)),
    .init(
      "request_seconds",
      "Seconds in which a request has to arrive, and a second more for every "
        + "`request_bytes_per_second` of its body; a connection that is slower is closed.",
      .integer(\.connections.requestSeconds, 1...86_400)),
    .init(
      "request_bytes_per_second",
      "Bytes a second that the body of a request has to come with on average after "
        + "`request_seconds`.",
      .integer(\.connections.requestBytesPerSecond, 1...1_000_000_000)),
    .init(
      "stalled_seconds",
      "Seconds after which a connection is closed whose client takes nothing of an answer.",
      .integer(\.connections.stalledSeconds, 1...86_400)),
    .init(
      "idle_connection_seconds",
      "Seconds after which a connection on which nothing happens is closed.",
      .integer(\.idleConnectionSeconds, 1...86_400)),
    .init(
      "shutdown_seconds", "Seconds that requests get to end at a graceful stop.",
      .integer(\.shutdownSeconds, 1...3600)),
  ]

  private static let scheduling: [CoordinatorSetting] = [
    .init(
      "unit_seconds", "Seconds of work that a unit is cut for.",
      .integer(\.policy.targetUnitSeconds, 1...86_400)),
    .init(
      "replica_stretch",
      "A worker is given another's unit of up to this many times `unit_seconds`, longer ones last.",
      .number(\.policy.replicaStretch, factors)),
    .init(
      "maximum_unit_requests", "Requests in a unit, at most.",
      .integer(\.policy.maximumSequencesPerUnit, 1...86_400)),
    .init(
      "first_unit_requests", "Requests in a unit for a worker of unknown speed.",
      .integer(\.policy.firstUnitSequences, 1...86_400)),
    .init(
      "assumed_flops_per_core",
      "Operations a second and core that are assumed of a worker of unknown speed.",
      .number(\.policy.assumedFlopsPerCore, 1e6...1e15)),
    .init(
      "maximum_units_per_lease", "Units that a worker gets at once, at most.",
      .integer(\.policy.maximumUnitsPerLease, 1...1000)),
    .init(
      "maximum_running_leases", "Leases that a worker holds at a time, at most.",
      .integer(\.policy.maximumRunningLeases, 1...10_000)),
    .init(
      "heartbeat_seconds", "Seconds between a worker's signs of life.",
      .integer(\.policy.heartbeatSeconds, 1...86_400)),
    .init(
      "silence_seconds",
      "Seconds of silence after which a worker's unit may go to another, not before its first "
        + "deadline.",
      .integer(\.policy.silenceSeconds, 1...86_400)),
    .init(
      "deadline_factor",
      "A lease of a silent worker ends after this many times the time that the unit should take, "
        + "and after five times silence_seconds at most.",
      .number(\.policy.deadlineFactor, factors)),
    .init(
      "extension_factor",
      "Signs of progress extend a lease to this many times that time, as far as the progress is "
        + "plausible,",
      .number(\.policy.extensionFactor, factors)),
    .init(
      "minimum_extension_seconds", "but at least to this many seconds,",
      .integer(\.policy.minimumExtensionSeconds, seconds)),
    .init(
      "maximum_lease_seconds", "and at most to this many.",
      .integer(\.policy.maximumLeaseSeconds, seconds)),
    .init(
      "active_seconds", "Seconds after which a worker that asked for nothing counts as away.",
      .integer(\.policy.activeSeconds, seconds)),
    .init(
      "idle_seconds", "Seconds after which an idle worker asks again.",
      .integer(\.policy.retryAfterSeconds, 1...86_400)),
  ]

  private static let verification: [CoordinatorSetting] = [
    .init(
      "quorum",
      "Accounts whose results must be equal in the public pool, for units that are cut from "
        + "now on.",
      .integer(\.policy.quorum, 2...16)),
    .init(
      "audit_share",
      "The share of the units that a quorum accepted which the coordinator's own machine computes "
        + "again, drawn by lot, from 0 (none) to 1. It holds where all accounts that agreed are "
        + "established: 5 results of each were confirmed by the coordinator's own machine or by "
        + "different established accounts. Where only some are, it counts five times; where none "
        + "is, twenty times.",
      .number(\.policy.auditShare, 0.0...1.0)),
    .init(
      "maximum_lost_replicas",
      "Replicas of a unit that may be lost before the coordinator's own machine takes it, by as "
        + "many accounts (by all where there are fewer).",
      .integer(\.policy.maximumLostReplicas, 1...1000)),
    .init(
      "maximum_replays", "Attempts of that machine before the unit's requests fail.",
      .integer(\.policy.maximumReplays, 1...100)),
    .init(
      "replay_seconds", "Seconds after which such an attempt is given out again, at most.",
      .integer(\.policy.replaySeconds, seconds)),
    .init(
      "suspension_seconds",
      "Seconds without work after a worker's first wrong result, doubled for each further one.",
      .integer(\.policy.suspensionSeconds, seconds)),
    .init(
      "account_hold_seconds",
      "Seconds without work for all workers of an account after the first of them gave a wrong "
        + "result; after others of them did within 30 days, `suspension_seconds` doubled for each. "
        + "An account has one such worker free for each 1000 accepted results.",
      .integer(\.policy.accountHoldSeconds, seconds)),
    .init(
      "failure_backoff_seconds",
      "Seconds without work after a worker failed at a unit or let its lease end in silence, "
        + "doubled for each further one in a row.",
      .integer(\.policy.failureBackoffSeconds, seconds)),
  ]

  private static let storage: [CoordinatorSetting] = [
    .init(
      "result_retention_days",
      "Days that units' inputs and results are kept as evidence after their batches ended.",
      .integer(\.retention.resultDays, 0...36_500)),
    .init(
      "unused_grace_seconds",
      "Seconds that stored bytes are kept though nothing refers to them yet.",
      .integer(\.retention.graceSeconds, 3600...31_536_000)),
    .init(
      "sweep_seconds", "Seconds between sweeps of what nothing needs any more.",
      .integer(\.sweepSeconds, 60...31_536_000)),
    .init(
      "disk_free_bytes_minimum",
      "With fewer bytes free, uploads are refused and no units handed out; 0 turns that off.",
      .integer(\.diskGuard.freeBytesMinimum, 0...(1 << 50))),
  ]

  private static let limits: [CoordinatorSetting] = [
    .init(
      "upload_bytes", "Bytes of an uploaded file.", .integer(\.limits.uploadBytes, 1...(1 << 40))),
    .init("batch_lines", "Lines of a batch.", .integer(\.limits.batchLines, counts)),
    .init(
      "line_bytes", "Bytes of one line of a batch.",
      .integer(\.limits.lineBytes, 1024...(1 << 28))),
    .init(
      "message_bytes", "Bytes of a JSON body.", .integer(\.limits.messageBytes, 4096...(1 << 28))),
    .init(
      "result_bytes", "Bytes of an uncompressed result.",
      .integer(\.limits.resultBytes, 4096...(1 << 32))),
    .init(
      "certificate_seconds",
      "Seconds that a worker's certificate is valid; workers renew it in time, or up to 90 days "
        + "late.",
      .integer(\.limits.certificateSeconds, 60...(10 * 31_536_000))),
    .init(
      "default_chat_tokens",
      "Tokens that a chat request without `max_tokens` may generate, within the model's context.",
      .integer(\.limits.defaultChatTokens, 1...1_000_000)),
    .init(
      "completion_window_seconds", "The longest completion window in seconds.",
      .integer(\.limits.completionWindowSeconds, 86_400...(10 * 31_536_000))),
  ]
}
