"""A tiny KuaiRec folder by hand: 4 users, 5 videos; users 10 and 12 on videos 1 and 3 are the block."""

HEADER = "user_id,video_id,play_duration,video_duration,time,date,timestamp,watch_ratio\n"
FILES = {
    "big_matrix": HEADER
    + "10,2,9000,6000,2020-07-05 00:00:02.500,20200705,1593878402.5,1.5\n"
    + "10,0,1000,4000,2020-07-05 00:00:03.438,20200705,1593878403.438,0.25\n"
    + "10,2,48000,6000,2020-07-05 00:00:04.000,20200705,1593878404.0,8.0\n"
    + "11,1,0,5000,2020-07-05 00:00:01.000,20200705,1593878401.0,0.0\n"
    + "13,4,3000,3000,2020-07-05 00:00:01.000,20200705,1593878401.0,1.0\n",
    "small_matrix": HEADER
    + "12,3,2000,2000,2020-07-05 00:00:01.000,20200705.0,1593878401.0,1.0\n"
    + "10,1,35000,5000,,,,7.0\n"
    + "12,1,1250,5000,2020-07-05 00:00:01.000,20200705.0,1593878401.0,0.25\n",
    "item_categories": 'video_id,feat\n4,[7]\n0,[8]\n1,"[27, 9]"\n2,[9]\n3,[8]\n',
    "user_features": "user_id,degree,fans_user_num\n12,full,0\n10,high,3\n11,full,\n13,,1\n",
    "item_daily_features": (
        "video_id,date,video_type,video_duration\n"
        "0,20200705,NORMAL,4000.0\n0,20200706,NORMAL,4200.0\n0,20200707,NORMAL,9000.0\n"
        "1,20200705,NORMAL,5000.0\n2,20200705,NORMAL,\n3,20200705,AD,2000.0\n"
    ),
}


def write(folder, **changed):
    """The files of FILES in `folder`; changed: file name without .csv -> other contents."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in FILES.items():
        (folder / f"{name}.csv").write_text(changed.get(name, text), encoding="utf-8")
    return folder


def big(*rows):
    """A big_matrix.csv of these (user, video, timestamp, watch ratio), as text."""
    return HEADER + "".join(f"{user},{video},1000,5000,,,{time},{watch}\n" for user, video, time, watch in rows)
