import Foundation
import MachineLimits
import TestSupport
import Testing

/// What a process may use, from trees of files as systems and containers have them.
@Suite struct MachineLimitsTests {
  private let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    try write("0-7\n", "sys/devices/system/cpu/online")
    try write("MemTotal: 1000000 kB\nMemAvailable:   400000 kB\n", "proc/meminfo")
  }

  private func write(_ text: String, _ path: String) throws {
    let url = folder.url.appendingPathComponent(path)
    try FileManager.default.createDirectory(
      at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(text.utf8).write(to: url)
  }

  private func limits() -> MachineLimits { MachineLimits(root: folder.url.path) }

  private func expect(
    _ threads: Int, _ origin: MachineLimits.Origin?, at location: SourceLocation = #_sourceLocation
  ) {
    let limits = limits()
    #expect(limits.threads == threads, sourceLocation: location)
    #expect(limits.threadsOrigin == origin, sourceLocation: location)
  }

  private func expect(memory: Int, at location: SourceLocation = #_sourceLocation) {
    #expect(limits().memoryBytes == memory, sourceLocation: location)
    #expect(
      limits().memoryOrigin == (memory < 1_024_000_000 ? .groupMemory : nil),
      sourceLocation: location)
  }

  @Test func withoutLimitsItIsTheMachine() throws {
    expect(8, nil)
    expect(memory: 1_024_000_000)
    try write("0::/a\n1:cpu:/a\n2:memory:/a\n3:cpuset:/a\nnonsense\n", "proc/self/cgroup")
    try write("max 100000\n", "sys/fs/cgroup/a/cpu.max")
    try write("max\n", "sys/fs/cgroup/a/memory.max")
    try write("-1\n", "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us")
    try write("100000\n", "sys/fs/cgroup/cpu/a/cpu.cfs_period_us")
    try write("\n", "sys/fs/cgroup/cpuset/a/cpuset.cpus")
    try write("9223372036854771712\n", "sys/fs/cgroup/memory/a/memory.limit_in_bytes")
    expect(8, nil)
    expect(memory: 1_024_000_000)
  }

  @Test(arguments: [
    ("0-7", 8), ("0-127", 8), ("2", 1), ("0-1,4", 3), ("7-12,3", 2), ("nonsense", 8), ("3-1", 8),
    ("0-99999999999", 8), ("-1", 8), (",", 8),
  ])
  func affinityLimits(list: String, threads: Int) throws {
    try write("Name:\ttally\nCpus_allowed:\tff\nCpus_allowed_list:\t\(list)\n", "proc/self/status")
    expect(threads, threads < 8 ? .affinity : nil)
  }

  @Test(arguments: [
    ("50000 100000", 1), ("100000 100000", 1), ("100001 100000", 2), ("150000 100000", 2),
    ("1000 100000", 1), ("400000", 4), ("900000 100000", 8), ("0 100000", 8), ("1 0", 8), ("", 8),
  ])
  func aQuotaIsRoundedUpToThreads(quota: String, threads: Int) throws {
    try write("0::/a\n", "proc/self/cgroup")
    try write(quota + "\n", "sys/fs/cgroup/a/cpu.max")
    expect(threads, threads < 8 ? .groupQuota : nil)
  }

  @Test func ofNestedGroupsTheLeastHolds() throws {
    try write("0::/a/b/c\n", "proc/self/cgroup")
    try write("300000 100000\n", "sys/fs/cgroup/a/b/c/cpu.max")
    try write("max 100000\n", "sys/fs/cgroup/a/b/cpu.max")
    try write("200000 100000\n", "sys/fs/cgroup/a/cpu.max")
    try write("700\n", "sys/fs/cgroup/a/b/c/memory.max")
    try write("600\n", "sys/fs/cgroup/a/b/memory.high")
    try write("max\n", "sys/fs/cgroup/a/memory.max")
    expect(2, .groupQuota)
    expect(memory: 600)
    try write("Cpus_allowed_list:\t5\n", "proc/self/status")
    expect(1, .affinity)
    try write("0\n", "sys/fs/cgroup/a/b/c/cpuset.cpus.effective")
    expect(1, .groupProcessors)
  }

  @Test func versionOneAndBothTogether() throws {
    try write(
      "3:cpuset:/s\n2:cpu,cpuacct:/x/y\n1:memory:/x/y\n1:name=systemd:/z\n0::/z\n",
      "proc/self/cgroup")
    try write("250000\n", "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us")
    try write("100000\n", "sys/fs/cgroup/cpu/x/cpu.cfs_period_us")
    try write("900\n", "sys/fs/cgroup/memory/x/memory.limit_in_bytes")
    expect(3, .groupQuota)
    expect(memory: 900)
    try write("0,2\n", "sys/fs/cgroup/cpuset/s/cpuset.cpus")
    expect(2, .groupProcessors)
    try write("100000 100000\n", "sys/fs/cgroup/z/cpu.max")
    expect(1, .groupQuota)
  }

  /// Where the groups are, and which of them a container sees at the top, is what mountinfo says.
  @Test func containersSeeTheirOwnPartOfTheTree() throws {
    try write(
      """
      30 20 0:1 / / rw - ext4 /dev/sda rw
      31 30 0:2 / /groups/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate
      32 30 0:3 /docker/1f /groups/cpu,cpuacct ro,nosuid - cgroup cgroup rw,cpu,cpuacct
      33 30 0:4 /docker/1f /groups/memory ro - cgroup cgroup rw,memory
      """, "proc/self/mountinfo")
    try write("3:cpu,cpuacct:/docker/1f\n2:memory:/docker/1f/in\n0::/\n", "proc/self/cgroup")
    try write("150000\n", "groups/cpu,cpuacct/cpu.cfs_quota_us")
    try write("100000\n", "groups/cpu,cpuacct/cpu.cfs_period_us")
    try write("5000\n", "groups/memory/in/memory.limit_in_bytes")
    // Around the container, where its files are out of sight.
    try write("hierarchical_memory_limit 4000\n", "groups/memory/in/memory.stat")
    expect(2, .groupQuota)
    expect(memory: 4000)
    try write("3000\n", "groups/memory/memory.limit_in_bytes")
    expect(memory: 3000)
    try write("100000 100000\n", "groups/unified/cpu.max")
    expect(1, .groupQuota)
    // A group outside the container's view.
    try write("0::/../../elsewhere\n", "proc/self/cgroup")
    expect(1, .groupQuota)
  }

  @Test func thisProcessHasSomething() {
    #expect((1...ProcessInfo.processInfo.processorCount).contains(MachineLimits().threads))
    #expect(MachineLimits().memoryBytes > 0)
  }

  /// The figures of a machine, and of a control group of either version around the process.
  @Test func aControlGroupLimitsWhatIsAvailable() throws {
    func available() -> Int { SystemMemory.availableBytes(root: folder.url.path) }
    func reported() -> Int? { SystemMemory.reportedAvailableBytes(root: folder.url.path) }
    try write("MemTotal: 100 kB\n", "proc/meminfo")
    #expect(available() == 0)
    #expect(reported() == nil)
    try write("MemTotal: 100 kB\nMemAvailable:   40 kB\n", "proc/meminfo")
    #expect(available() == 40 << 10)
    try write("4:memory:/a/b\n0::/\n", "proc/self/cgroup")
    #expect(available() == 40 << 10)
    try write("9223372036854771712\n", "sys/fs/cgroup/memory/a/b/memory.limit_in_bytes")
    #expect(available() == 40 << 10)
    try write("20480\n", "sys/fs/cgroup/memory/a/b/memory.limit_in_bytes")
    try write("cache 9000\ntotal_rss 480\n", "sys/fs/cgroup/memory/a/b/memory.stat")
    #expect(available() == 20000)
    // The limit of a group around, also where the own one is out of sight.
    try write("4:memory:/a/b/hidden\n", "proc/self/cgroup")
    #expect(available() == 20000)
    try write("0::/c\n", "proc/self/cgroup")
    try write("max\n", "sys/fs/cgroup/c/memory.max")
    #expect(available() == 40 << 10)
    try write("10000\n", "sys/fs/cgroup/c/memory.max")
    try write("anon 11000\nfile 5\n", "sys/fs/cgroup/c/memory.stat")
    #expect(available() == 0)
    #expect(reported() == 0)
  }
}
