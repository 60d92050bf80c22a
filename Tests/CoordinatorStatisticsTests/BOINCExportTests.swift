import CoordinatorCore
import CoordinatorStatistics
import CoordinatorStore
import Foundation
import FoundationXML
import TestSupport
import Testing
import WireProtocol

/// A reader of BOINC's statistics files, written from their documentation: elements by name, each
/// record's in the order in which they came.
private final class StatisticsReader: NSObject, XMLParserDelegate {
  private(set) var root = ""
  private(set) var records: [[(name: String, value: String)]] = []
  private var path: [String] = []
  private var text = ""

  static func read(_ bytes: Data) throws -> StatisticsReader {
    let reader = StatisticsReader()
    let parser = XMLParser(data: bytes)
    parser.delegate = reader
    guard parser.parse() else { throw try #require(parser.parserError) }
    return reader
  }

  func parser(
    _ parser: XMLParser, didStartElement name: String, namespaceURI: String?,
    qualifiedName: String?, attributes: [String: String]
  ) {
    path.append(name)
    if path.count == 1 { root = name }
    if path.count == 2 { records.append([]) }
    text = ""
  }

  func parser(_ parser: XMLParser, foundCharacters string: String) { text += string }

  func parser(
    _ parser: XMLParser, didEndElement name: String, namespaceURI: String?, qualifiedName: String?
  ) {
    if path.count == 3 { records[records.count - 1].append((name, text)) }
    path.removeLast()
  }
}

@Suite("BOINC's statistics files")
struct BOINCExportTests {
  private static let time = Timestamp(seconds: 1_800_000_000)

  private static func standing(_ micro: Int64) -> StatisticsExport.Standing {
    StatisticsExport.Standing(
      credit: Credit(micro: micro), average: RecentAverage(value: 1.25, time: time))
  }

  private static let export = StatisticsExport(
    takenAt: time,
    accounts: [
      StatisticsExport.Account(
        number: 7, name: "Ada <& \"Söhne\"> \u{1}", createdAt: time,
        standing: standing(123_456_789),
        crossProjectID: "cross", email: "ada@example.org", country: "United Kingdom", url: nil,
        team: 3),
      StatisticsExport.Account(
        number: 9, name: "grace", createdAt: time, standing: standing(1), crossProjectID: "other",
        email: nil, country: nil, url: "https://example.org/?a=1&b=2", team: nil),
    ],
    teams: [
      StatisticsExport.Team(
        id: 3, name: "Engines", founder: 7, founderName: nil, createdAt: time,
        standing: standing(123_456_789))
    ],
    workers: [
      StatisticsExport.Worker(
        number: 5, id: "worker_a", account: 7, createdAt: time, lastSeen: nil,
        standing: standing(10), flopsPerSecond: 2e9, turnaroundSeconds: 12.5,
        machine: MachineFacts(
          processorVendor: "GenuineIntel", processorModel: "Xeon <E5>", processors: 8,
          memoryBytes: 16 << 30, systemName: "Linux", systemVersion: "Debian GNU/Linux 12")),
      StatisticsExport.Worker(
        number: 6, id: "worker_b", account: nil, createdAt: time, lastSeen: time,
        standing: standing(10), flopsPerSecond: nil, turnaroundSeconds: 0),
    ],
    deletedAccounts: [StatisticsExport.Deleted(number: 8, key: "gone")], deletedWorkers: [],
    accountsTotal: 3, teamsTotal: 1, workersTotal: 2, credit: Credit(micro: 223_456_790))

  private static let standingNames = ["total_credit", "expavg_credit", "expavg_time"]
  private static let hostNames =
    ["id", "userid"] + standingNames + [
      "p_vendor", "p_model", "os_name", "os_version", "create_time", "rpc_time", "timezone",
      "ncpus",
      "p_fpops", "p_iops", "p_membw", "m_nbytes", "m_cache", "m_swap", "d_total", "d_free",
      "n_bwup",
      "n_bwdown", "avg_turnaround", "credit_per_cpu_sec", "host_cpid",
    ]

  /// What is in a folder after writing it, as `gzip` unpacks it.
  private func written() throws -> (StatisticsFolder, TemporaryFolder) {
    let folder = try TemporaryFolder()
    let statistics = StatisticsFolder(folder.url.appendingPathComponent("statistics"))
    try statistics.write(Self.export)
    return (statistics, folder)
  }

  private func records(_ name: String, root: String) throws -> [[(name: String, value: String)]] {
    let (statistics, folder) = try written()
    defer { withExtendedLifetime(folder) {} }
    var bytes = try #require(statistics.read(name))
    if name.hasSuffix(".gz") {
      let unpacking = Process()
      unpacking.executableURL = URL(fileURLWithPath: "/bin/gzip")
      unpacking.arguments = ["-dc", statistics.url.appendingPathComponent(name).path]
      let output = Pipe()
      unpacking.standardOutput = output
      try unpacking.run()
      bytes = output.fileHandleForReading.readDataToEndOfFile()
      unpacking.waitUntilExit()
      #expect(unpacking.terminationStatus == 0)
    }
    let reader = try StatisticsReader.read(bytes)
    #expect(reader.root == root)
    return reader.records
  }

  @Test("accounts: elements in BOINC's order, text escaped, credit as %f prints it")
  func users() throws {
    let users = try records("user.gz", root: "users")
    #expect(
      users.first?.map(\.name) == ["id", "name", "create_time"] + Self.standingNames
        + ["cpid", "country", "teamid"])
    #expect(
      users.first?.map(\.value) == [
        "7", "Ada <& \"Söhne\"> ", "1800000000", "123.456789", "1.250000", "1800000000.000000",
        // printf 'crossada@example.org' | md5sum
        "1bcf580541a6188f027d55e31ee25b99", "United Kingdom", "3",
      ])
    #expect(
      users.last?.map(\.name) == ["id", "name", "create_time"] + Self.standingNames
        + ["cpid", "url"])
    #expect(users.last?.last?.value == "https://example.org/?a=1&b=2")
    #expect(users.last?.first { $0.name == "total_credit" }?.value == "0.000001")
  }

  @Test("teams and machines: elements in BOINC's order, no account where it is not public")
  func teamsAndHosts() throws {
    #expect(
      try records("team.gz", root: "teams").map { $0.map(\.name) } == [
        ["id", "type", "name", "userid"] + Self.standingNames + ["create_time", "country"]
      ])
    let hosts = try records("host.gz", root: "hosts")
    #expect(hosts.first?.map(\.name) == Self.hostNames)
    #expect(hosts.last?.map(\.name) == Self.hostNames.filter { $0 != "userid" })
    #expect(hosts.first?.first { $0.name == "p_fpops" }?.value == "2000000000.000000")
    #expect(hosts.first?.first { $0.name == "avg_turnaround" }?.value == "12.500000")
    let machine = ["p_vendor", "p_model", "os_name", "os_version", "ncpus", "m_nbytes"]
    #expect(
      machine.map { name in hosts.first?.first { $0.name == name }?.value } == [
        "GenuineIntel", "Xeon <E5>", "Linux", "Debian GNU/Linux 12", "8", "17179869184.000000",
      ])
    #expect(
      machine.map { name in hosts.last?.first { $0.name == name }?.value } == [
        "", "", "", "", "0", "0.000000",
      ])
  }

  @Test("who is gone is listed by number and identifier alone")
  func deleted() throws {
    let users = try records("user_deleted.gz", root: "users_deleted")
    #expect(users.map { $0.map(\.name) } == [["id", "cpid"]])
    #expect(users.first?.first?.value == "8")
    #expect(try records("host_deleted.gz", root: "hosts_deleted").isEmpty)
  }

  @Test("the tables: totals count everyone, and name applications and badges")
  func tables() throws {
    let (statistics, folder) = try written()
    defer { withExtendedLifetime(folder) {} }
    let bytes = try #require(statistics.read("tables.xml"))
    let text = String(decoding: bytes, as: UTF8.self)
    #expect(text.hasPrefix("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<tables>\n"))
    let order = [
      "<update_time>1800000000</update_time>", "<nusers_total>3</nusers_total>",
      "<nteams_total>1</nteams_total>", "<nhosts_total>2</nhosts_total>",
      "<nusers_deleted_total>1</nusers_deleted_total>",
      "<nhosts_deleted_total>0</nhosts_deleted_total>", "<total_credit>223.456790</total_credit>",
      "<applications>", "<badges>",
    ].map { text.range(of: $0)?.lowerBound }
    #expect(!order.contains(nil))
    #expect(order.compactMap { $0 } == order.compactMap { $0 }.sorted())
    #expect(try StatisticsReader.read(bytes).root == "tables")
    #expect(statistics.read("../coordinator.sqlite") == nil)
  }
}
