/// What was seen of the machine around the worker at one moment. What cannot be read is nil, and
/// then limits nothing.
package struct Surroundings: Hashable, Sendable {
  /// Seconds since somebody last used keyboard, mouse or terminal.
  package var idleSeconds: Double?
  package var isOnBattery = false
  /// The share of all processors that other programs of normal priority took lately, 0 to 1.
  package var otherLoad: Double?
  /// Of the warmest sensor, in degrees Celsius.
  package var temperatureCelsius: Double?
  /// In the machine's time zone; 0 is Sunday.
  package var weekday = 0
  /// Minutes since midnight in the machine's time zone.
  package var minuteOfDay = 0
  /// Memory that this process may have, in bytes: the machine's, or its control group's.
  package var memoryBytes = 0
  /// Threads for which it has processors, where these are fewer than the machine's.
  package var threads: Int?
  /// What this process has in memory that no file holds, in bytes.
  package var ownMemoryBytes: Int?
  /// The share of the last ten seconds, in per cent, in which something waited for a processor.
  package var cpuPressure: Double?
  /// And in which nothing went on because everything waited for memory.
  package var memoryPressure: Double?
  /// In the machine's time zone.
  package var month = CalendarMonth(year: 1970, month: 1)
  /// Blobs and results transferred in that month, in bytes.
  package var transferredBytes = 0

  package init() {}
}

/// Why a worker does not compute though it might.
package enum PauseReason: Hashable, Sendable {
  /// Its owner said so; nil: until further notice.
  case owner(until: Moment?)
  case hours(WeeklyHours)
  case tariff(WeeklyHours)
  case battery
  case inUse
  /// Shares in per cent of all processors.
  case otherLoad(percent: Int, limit: Int)
  case temperature(celsius: Int, limit: Int)
  /// Shares of time in per cent.
  case cpuPressure(percent: Int, limit: Int)
  case memoryPressure(percent: Int, limit: Int)
  case networkHours(WeeklyHours)
  /// What was transferred in this month.
  case networkVolume(megabytes: Int, limit: Int)

  /// A few words for people, to stand after "paused: ".
  ///
  /// - Parameter now: tells how long a pause still is.
  package func words(at now: Moment) -> String {
    switch self {
    case .owner(nil): return "by its owner, until resumed"
    case .owner(let until?):
      let seconds = max(0, Int(now.duration(to: until).inSeconds.rounded(.up)))
      return
        "by its owner, for \(seconds < 120 ? "\(seconds) s" : "\((seconds + 59) / 60) min") more"
    case .hours(let hours): return "outside its hours (\(hours.spelled))"
    case .tariff(let hours): return "electricity is dear at this hour (\(hours.spelled))"
    case .battery: return "the machine runs on battery"
    case .inUse: return "somebody uses the machine"
    case .otherLoad(let percent, let limit):
      return "other programs take \(percent) % of the processors (limit \(limit) %)"
    case .temperature(let celsius, let limit):
      return "the machine is at \(celsius) °C (limit \(limit) °C)"
    case .cpuPressure(let percent, let limit):
      return "programs wait for a processor \(percent) % of the time (limit \(limit) %)"
    case .memoryPressure(let percent, let limit):
      return "everything waits for memory \(percent) % of the time (limit \(limit) %)"
    case .networkHours(let hours): return "outside its network hours (\(hours.spelled))"
    case .networkVolume(let megabytes, let limit):
      return "network volume of this month is used up: \(megabytes) of \(limit) MB"
    }
  }
}

/// What a worker may do now.
package struct Allowance: Hashable, Sendable {
  /// Why it may not compute; empty when it may.
  package var pauses: [PauseReason]
  /// Of its threads' time, 0 to 1.
  package var cpuShare: Double
  /// Threads at most, by the owner and by what the machine gives; nil: as it was started.
  package var threads: Int?
  /// What a unit may take, in bytes.
  package var memoryBytes: Int
  /// What it may transfer.
  package var network = NetworkAllowance()
  /// What its cache may take of the disk.
  package var disk = DiskLimits()
  /// Whether the coordinator is told what the machine is.
  package var sharesMachine = true

  package init(pauses: [PauseReason], cpuShare: Double, threads: Int?, memoryBytes: Int) {
    self.pauses = pauses
    self.cpuShare = cpuShare
    self.threads = threads
    self.memoryBytes = memoryBytes
  }

  package var computes: Bool { pauses.isEmpty }
}
