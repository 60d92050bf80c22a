import Foundation

/// The control groups that this process is in, of both versions: cgroups(7). A group's limit holds
/// for all groups in it, so each question goes to the own group and every one around it.
struct ControlGroups {
  /// Folders of the process's groups, the outermost first, by controller; version 2's under "".
  private var folders: [String: [String]] = [:]
  private let files: SystemFiles

  /// - Parameter files: where `/proc` and `/sys` are.
  init(_ files: SystemFiles) {
    self.files = files
    let mounts = Self.mounts(files.text("/proc/self/mountinfo") ?? "")
    for line in files.text("/proc/self/cgroup")?.split(separator: "\n") ?? [] {
      let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard parts.count == 3 else { continue }
      for controller in parts[1].split(separator: ",", omittingEmptySubsequences: false) {
        let controller = String(controller)
        let mount = mounts[controller] ?? Mount(controller: controller)
        folders[controller] = mount.folders(upTo: parts[2])
      }
    }
  }

  /// The least that any group allows, in processors' time; nil where there is no limit.
  var processorQuota: Double? {
    let second = values("") { folder in
      let words = files.text(folder + "/cpu.max")?.split(separator: " ") ?? []
      return Self.share(words.first, of: words.count > 1 ? words[1] : "100000")
    }
    let first = values("cpu") { folder in
      Self.share(
        files.text(folder + "/cpu.cfs_quota_us"), of: files.text(folder + "/cpu.cfs_period_us"))
    }
    return (first + second).min()
  }

  /// Processors that each of the groups gives, as far as they say.
  var processorSets: [Set<Int>] {
    func processors(_ folder: String) -> Set<Int>? {
      let names = ["cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus"]
      return names.lazy.compactMap { files.text("\(folder)/\($0)") }
        .compactMap(ProcessorList.processors).first
    }
    return values("", processors) + values("cpuset", processors)
  }

  /// The least that any group allows, in bytes; nil where there is no limit.
  var memoryBytes: Int? { memory { limit, _ in limit } }

  /// The least that any group leaves, in bytes: pages of files are not counted as taken, since they
  /// go when others come. Nil where there is no limit.
  var memoryLeftBytes: Int? { memory { limit, used in max(0, limit - used) } }

  private func memory(_ figure: (_ limit: Int, _ used: Int) -> Int) -> Int? {
    func figures(_ controller: String, _ names: [String], used: String) -> [Int] {
      values(controller) { folder in
        // Version 1 also says what groups out of sight, around a container, allow.
        let above = field("hierarchical_memory_limit", folder)
        let limits = names.compactMap { files.text("\(folder)/\($0)").flatMap { Int($0) } }
        guard let limit = (limits + [above].compactMap { $0 }).min(), (0..<1 << 60).contains(limit)
        else { return nil }
        return figure(limit, field(used, folder) ?? 0)
      }
    }
    return
      (figures("memory", ["memory.limit_in_bytes"], used: "total_rss")
      + figures("", ["memory.max", "memory.high"], used: "anon")).min()
  }

  private func field(_ name: String, _ folder: String) -> Int? {
    let lines = files.text(folder + "/memory.stat")?.split(separator: "\n") ?? []
    return lines.first { $0.hasPrefix(name + " ") }?.split(separator: " ").last.flatMap { Int($0) }
  }

  private func values<Value>(_ controller: String, _ value: (String) -> Value?) -> [Value] {
    (folders[controller] ?? []).compactMap(value)
  }

  private static func share(
    _ quota: (some StringProtocol)?, of period: (some StringProtocol)?
  ) -> Double? {
    guard let quota = quota.flatMap({ Double($0) }), let period = period.flatMap({ Double($0) }),
      quota > 0, period > 0, (quota / period).isFinite
    else { return nil }
    return quota / period
  }

  // MARK: Mounts

  /// Where a controller's groups are.
  private struct Mount {
    var point: String
    /// The group that is at the mount point.
    var group: String

    init(point: String, group: String) { (self.point, self.group) = (point, group) }

    /// The usual place.
    init(controller: String) {
      self.init(point: "/sys/fs/cgroup" + (controller.isEmpty ? "" : "/" + controller), group: "/")
    }

    /// Folders from the mount point to a group. In a container the group's own path may be out of
    /// sight, but what is at the top counts for it.
    func folders(upTo path: Substring) -> [String] {
      var names = path.split(separator: "/")
      let top = group.split(separator: "/")
      if names.starts(with: top) { names.removeFirst(top.count) }
      guard !names.contains("..") else { return [point] }
      return (0...min(names.count, 64)).map { count in
        point + names.prefix(count).map { "/" + $0 }.joined()
      }
    }
  }

  /// By controller, from proc_pid_mountinfo(5).
  private static func mounts(_ text: String) -> [String: Mount] {
    var mounts: [String: Mount] = [:]
    for line in text.split(separator: "\n") {
      let fields = line.split(separator: " ")
      guard let dash = fields.firstIndex(of: "-"), dash > 5, fields.count > dash + 3 else {
        continue
      }
      let mount = Mount(point: String(fields[4]), group: String(fields[3]))
      switch fields[dash + 1] {
      case "cgroup2": mounts[""] = mounts[""] ?? mount
      case "cgroup":
        for option in fields[dash + 3].split(separator: ",") {
          mounts[String(option)] = mounts[String(option)] ?? mount
        }
      default: continue
      }
    }
    return mounts
  }
}

/// Processors as the kernel lists them: `0-3,8`.
enum ProcessorList {
  /// Nil for what is no list, and for an empty one.
  static func processors(_ text: String) -> Set<Int>? {
    var processors: Set<Int> = []
    for part in text.trimmingCharacters(in: .whitespacesAndNewlines).split(separator: ",") {
      let ends = part.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false).map {
        Int($0)
      }
      guard let first = ends.first ?? nil, let last = ends.last ?? nil, first >= 0, first <= last,
        last < 1 << 16
      else { return nil }
      processors.formUnion(first...last)
    }
    return processors.isEmpty ? nil : processors
  }
}
