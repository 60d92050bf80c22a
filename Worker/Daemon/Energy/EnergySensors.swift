import Foundation
import Glibc
import WorkerCore

/// Reads the processor's energy counters, and the time for which processors were busy.
package struct EnergySensors: Sendable {
  /// Whether the counters can be read.
  package enum Access: Hashable, Sendable {
    /// These, by name, are added up.
    case readable([String])
    /// By root, who asks, and nobody else.
    case readableByRootAlone([String])
    case denied
    /// A virtual machine, or a processor without.
    case absent
  }

  /// Before every path; empty but in tests.
  private let root: String
  private static let folder = "/sys/class/powercap"

  package init(root: String = "") { self.root = root }

  /// What is seen now; nil where the system does not tell the processors' time.
  func sample(at now: Moment) -> EnergyMeter.Sample? {
    guard let machine = text("/proc/stat"), let process = text("/proc/self/stat"),
      let times = ProcessorTimes(machine: machine, process: process)
    else { return nil }
    let ticksPerSecond = Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
    return EnergyMeter.Sample(
      at: now, busySeconds: times.busy / ticksPerSecond, ownSeconds: times.own / ticksPerSecond,
      counters: zones.compactMap(counter))
  }

  /// What a worker on this machine can measure.
  package var access: Access {
    let zones = zones
    guard !zones.isEmpty else { return .absent }
    let counters = EnergyCounter.additive(zones.compactMap(counter))
    guard !counters.isEmpty else {
      let isHidden = zones.contains { text("\(Self.folder)/\($0)/energy_uj") == nil }
      return isHidden ? .denied : .absent
    }
    let names = counters.map(\.name)
    let isOpen = counters.allSatisfy { isReadableByOthers("\(Self.folder)/\($0.zone)/energy_uj") }
    return isOpen || geteuid() != 0 ? .readable(names) : .readableByRootAlone(names)
  }

  /// `intel-rapl:0`, `intel-rapl:0:0`, …, on AMD's processors too. `intel-rapl-mmio:0` shows the
  /// same package once more.
  private var zones: [String] {
    let names = try? FileManager.default.contentsOfDirectory(atPath: root + Self.folder)
    return (names ?? []).filter { $0.hasPrefix("intel-rapl:") }.sorted()
  }

  private func counter(_ zone: String) -> EnergyCounter? {
    let folder = "\(Self.folder)/\(zone)"
    guard let name = text("\(folder)/name"),
      let energy = text("\(folder)/energy_uj").flatMap({ UInt64($0) }),
      let range = text("\(folder)/max_energy_range_uj").flatMap({ UInt64($0) })
    else { return nil }
    return EnergyCounter(
      zone: zone, name: name, microjoules: energy, rangeMicrojoules: range)
  }

  private func isReadableByOthers(_ path: String) -> Bool {
    var status = stat()
    return stat(root + path, &status) == 0 && status.st_mode & S_IROTH != 0
  }

  private func text(_ path: String) -> String? {
    guard let file = FileHandle(forReadingAtPath: root + path) else { return nil }
    defer { try? file.close() }
    return (try? file.read(upToCount: 1 << 16)).map {
      String(decoding: $0, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }
  }
}
