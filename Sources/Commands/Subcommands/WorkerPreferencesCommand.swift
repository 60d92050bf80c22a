import ArgumentParser
import WorkerCore
import WorkerDaemon

/// Shows and changes what the owner allows.
struct WorkerPreferencesCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "preferences", abstract: "Show or change what the worker may take, and when.",
    discussion: """
      Without settings, shows those in the worker's folder. KEY=VALUE changes one, for a running \
      worker within a second; an empty value brings the default back. What was never set follows \
      the defaults of later versions.

        cpu_percent             of the time of its threads, 1 to 100 (100)
        threads                 at most (as started)
        cgroup_weight           of its own control group, 1 to 10000, where it may set it (as it is)
        memory_in_use_percent   of the machine's (or its control group's) memory while somebody \
      uses it (50)
        memory_idle_percent     and while nobody does (90)
        computes_in_use         whether to compute while somebody uses the machine (true)
        idle_after_seconds      without typing after which nobody uses it (180)
        other_load_percent      of all processors taken by other programs of normal priority, \
      above which it stops; 0: never (25)
        cpu_pressure_percent    of the time that something waits for a processor, above which it \
      stops; 0: never (0)
        memory_pressure_percent of the time that everything waits for memory, above which it \
      stops; 0: never (10)
        computes_on_battery     (false)
        temperature_celsius     of the warmest sensor, above which it stops (none)
        download_kilobytes_per_second   for models and inputs (none)
        upload_kilobytes_per_second     for results (none)
        monthly_megabytes       of both together in a calendar month (none)
        network_hours           as hours: when they are transferred (always)
        disk_megabytes          for models and inputs (as started)
        disk_percent            of the file system's size for them (90)
        disk_free_megabytes     to be left free on it, whoever takes the rest (1000)
        watts_per_core          of a busy processor, for the estimate of energy where it cannot be \
      measured (6)
        share_machine           whether the coordinator is told what the machine is (true)
        hours                   "always", "never", or ranges as in "mon-fri 20:00-07:00, sat-sun \
      00:00-24:00" (always)
        tariff_hours            as hours: when electricity is dear, so that it rests (never)

      With share_machine the coordinator knows the processor's maker, model and number, the \
      memory, the distribution, this program's version and its kernels. Its operator sees that, \
      and so does everyone where the account is public.

      Outside its network hours, and when the month's volume is used up, a worker asks for no \
      unit, and keeps its results until it may send them. Messages of a few hundred bytes go on: \
      without them the coordinator would give its units to others.

      EXAMPLES:
        tally worker preferences
        tally worker preferences cpu_percent=50 threads=2
        tally worker preferences temperature_celsius=
        tally worker preferences download_kilobytes_per_second=500 monthly_megabytes=20000
      """)

  @OptionGroup var folder: WorkerCommand.FolderOptions

  @Argument(help: "KEY=VALUE; may be repeated.")
  var settings: [String] = []

  @Flag(help: "Print JSON.")
  var json = false

  func run() async throws {
    let file = PreferencesFile(in: try WorkerFolder(folder.path))
    var preferences = try file.load()
    if !settings.isEmpty {
      let changed = try WorkerPreferences.changing(file.bytes(), by: settings)
      try file.save(changed.file)
      preferences = changed.preferences
    }
    if json { return try printJSON(preferences) }
    var table = TextTable(.text("SETTING"), .text("VALUE"))
    for (key, value) in try preferences.spelled { table.add(key, value) }
    Terminal.output.line(table.rendered())
  }
}
