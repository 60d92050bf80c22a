import Foundation
import Glibc
import MachineLimits
import WorkerCore

/// Reads what the governor wants to know from `/proc`, `/sys` and `/dev`. What is missing or makes
/// no sense is left unknown: no machine has everything.
struct MachineSensors: Sendable {
  /// Before every path; empty but in tests.
  let root: String
  private var previous: ProcessorTimes?
  private var otherLoad: Double?
  /// How much of the machine the process may use, as it was seen last.
  private(set) var limits: MachineLimits
  /// What the login manager answered last, and when, in seconds since 1970.
  private var sessions: (answer: String, at: Double)?
  /// An answer that is older is none.
  private static let answerSeconds = 90.0

  init(root: String = "") {
    self.root = root
    limits = MachineLimits(root: root)
  }

  /// What is seen now; load is that since the call before, if that was a moment ago.
  ///
  /// - Parameters:
  ///   - date: the calendar's time.
  mutating func sample(at date: Date) -> Surroundings {
    var around = Surroundings()
    around.otherLoad = sampleLoad()
    around.isOnBattery = isOnBattery
    around.temperatureCelsius = temperature
    around.idleSeconds = idleSeconds(at: date.timeIntervalSince1970)
    let local = LocalTime.fields(unixSeconds: Int(date.timeIntervalSince1970))
    around.weekday = Int(local.tm_wday)
    around.minuteOfDay = Int(local.tm_hour) * 60 + Int(local.tm_min)
    around.ownMemoryBytes = ownMemoryBytes
    around.cpuPressure = text("/proc/pressure/cpu").flatMap { Pressure.averageOf10("some", in: $0) }
    around.memoryPressure = text("/proc/pressure/memory")
      .flatMap { Pressure.averageOf10("full", in: $0) }
    around.month = CalendarMonth(
      year: Int(local.tm_year) + 1900, month: Int(local.tm_mon) + 1)
    limits = MachineLimits(root: root)
    around.threads = limits.threadsOrigin.map { _ in limits.threads }
    around.memoryBytes = limits.memoryBytes
    return around
  }

  // MARK: Load

  private mutating func sampleLoad() -> Double? {
    guard var load = load() else { return nil }
    guard let before = previous else {
      load.yielding = YieldingProcesses(root: root, own: load.process)
      previous = load
      return nil
    }
    let total = load.total - before.total
    // Nearly a second of every processor: in less, the owner's own command is a high load.
    guard total >= 90 * load.processors else { return otherLoad }
    load.yielding = YieldingProcesses(root: root, own: load.process)
    let other = load.others(since: before)
    previous = load
    otherLoad = max(0, min(1, other / total))
    return otherLoad
  }

  private func load() -> ProcessorTimes? {
    guard let machine = text("/proc/stat"), let process = text("/proc/self/stat") else {
      return nil
    }
    return ProcessorTimes(machine: machine, process: process)
  }

  // MARK: Power and heat

  /// True when a battery of the machine itself (not of a mouse) is what it runs on.
  private var isOnBattery: Bool {
    let supplies = names("/sys/class/power_supply").map { "/sys/class/power_supply/\($0)" }
    func says(_ supply: String, _ file: String, _ value: String) -> Bool {
      word("\(supply)/\(file)") == value
    }
    let batteries = supplies.filter { says($0, "type", "Battery") && !says($0, "scope", "Device") }
    let isPlugged = supplies.contains { !says($0, "type", "Battery") && says($0, "online", "1") }
    return !isPlugged && batteries.contains { says($0, "status", "Discharging") }
  }

  /// Of the warmest sensor, in degrees.
  private var temperature: Double? {
    let zones = names("/sys/class/thermal").filter { $0.hasPrefix("thermal_zone") }
      .map { "/sys/class/thermal/\($0)/temp" }
    let chips = names("/sys/class/hwmon").flatMap { chip in
      names("/sys/class/hwmon/\(chip)").filter { $0.hasPrefix("temp") && $0.hasSuffix("_input") }
        .map { "/sys/class/hwmon/\(chip)/\($0)" }
    }
    return (zones + chips).compactMap { word($0).flatMap { Double($0) } }.map { $0 / 1000 }
      .filter { (-50...200).contains($0) }.max()
  }

  /// Anonymous memory of this process, in bytes: models that are mapped from files do not count,
  /// since the system takes their pages back when it needs them.
  private var ownMemoryBytes: Int? {
    let line = text("/proc/self/status")?.split(separator: "\n").first { $0.hasPrefix("RssAnon:") }
    let kibibytes = line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap {
      Int($0)
    }
    return kibibytes.flatMap { (0..<1 << 50).contains($0) ? $0 * 1024 : nil }
  }

  // MARK: People

  /// Takes what the login manager answered; nil leaves its last answer to age.
  mutating func take(sessions answer: String?, at date: Date) {
    if let answer { sessions = (answer, date.timeIntervalSince1970) }
  }

  /// By the login manager and the terminals, whichever saw somebody last.
  private func idleSeconds(at now: Double) -> Double? {
    let isRecent = sessions.map { abs(now - $0.at) < Self.answerSeconds } ?? false
    let hint = isRecent ? sessions.flatMap { IdleHint.idleSeconds($0.answer, now: now) } : nil
    return [hint, lastInput.map { max(0, now - $0) }].compactMap { $0 }.min()
  }

  /// When somebody last typed at a terminal, in seconds since 1970: Linux notes it as the
  /// terminal's time of access.
  private var lastInput: Double? {
    // Of the consoles, dozens as a rule, the one that the keyboard goes to, where the system says
    // so.
    let consoles =
      word("/sys/class/tty/tty0/active").flatMap { $0.isEmpty ? nil : [$0] }
      ?? names("/dev").filter { name in
        name.hasPrefix("tty") && name.dropFirst(3).first?.isNumber == true
      }
    let terminals = names("/dev/pts").filter { $0 != "ptmx" }.map { "pts/\($0)" }
    return (consoles + terminals).compactMap { accessTime("/dev/\($0)") }.max()
  }

  private func accessTime(_ path: String) -> Double? {
    var status = stat()
    guard stat(root + path, &status) == 0 else { return nil }
    return Double(status.st_atim.tv_sec)
  }

  // MARK: Files

  private func names(_ folder: String) -> [String] {
    (try? FileManager.default.contentsOfDirectory(atPath: root + folder)) ?? []
  }

  private func text(_ path: String) -> String? {
    // Such files have no size, and none that is meant here is long.
    guard let file = FileHandle(forReadingAtPath: root + path) else { return nil }
    defer { try? file.close() }
    return (try? file.read(upToCount: 1 << 16)).map { String(decoding: $0, as: UTF8.self) }
  }

  private func word(_ path: String) -> String? {
    text(path)?.trimmingCharacters(in: .whitespacesAndNewlines)
  }
}
